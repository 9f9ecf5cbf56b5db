import math

import numpy as np
import pytest

from pipeline import scoring
from pipeline.scoring.uncertainty import interval

LABELS = np.array([0, 0, 1, 1, 2])
PREDICTED = np.array([0, 1, 1, 1, 0])


def probabilities(confidence: float) -> np.ndarray:
    found = np.full((5, 10), (1 - confidence) / 9, np.float32)
    found[np.arange(5), PREDICTED] = confidence
    return found


def test_full_by_hand() -> None:
    found = scoring.full(probabilities(0.91), LABELS)
    # A 0 is predicted twice, once correctly, a 1 three times, twice correctly; there are two 0, two 1 and one 2.
    precision, recall = [1 / 2, 2 / 3, 0], [1 / 2, 1, 0]
    f1 = [2 * p * r / (p + r) if p + r else 0 for p, r in zip(precision, recall, strict=True)]
    assert found["accuracy"] == 0.6
    assert found["errors"] == 2
    assert found["precision"] == pytest.approx(sum(precision) / 10, abs=1e-6)
    assert found["recall"] == pytest.approx(sum(recall) / 10, abs=1e-6)
    assert found["f1"] == pytest.approx(sum(f1) / 10, abs=1e-6)
    # Correct predictions are off by 0.09 and nine times 0.01; wrong ones by 0.91, 0.99 and eight times 0.01.
    correct, wrong = 0.09**2 + 9 * 0.01**2, 0.91**2 + 0.99**2 + 8 * 0.01**2
    assert found["brier"] == pytest.approx((3 * correct + 2 * wrong) / 5, abs=6e-5)
    assert found["ece"] == pytest.approx(0.91 - 0.6, abs=6e-5)
    assert (found["accuracy_low"], found["accuracy_high"]) == interval(3, 5)
    assert found["log_loss"] == pytest.approx(-(3 * math.log(0.91) + 2 * math.log(0.01)) / 5, abs=6e-5)


def test_scores_of_probabilities_have_four_decimals_and_those_of_counts_six() -> None:
    found = scoring.full(probabilities(0.911112)[:3], LABELS[:3])
    assert found["accuracy"] == 0.666667
    assert found["ece"] == 0.2444
    assert found["log_loss"] == 1.6013


def test_confidence_is_scored_as_a_predictor_of_errors() -> None:
    found = probabilities(0.91)
    assert scoring.full(found, LABELS)["error_auroc"] == 0.5  # equal confidence everywhere
    found[PREDICTED != LABELS] = probabilities(0.5)[PREDICTED != LABELS]
    assert scoring.full(found, LABELS)["error_auroc"] == 1
    assert scoring.full(found, PREDICTED)["error_auroc"] is None  # no errors
    assert scoring.full(found, PREDICTED + 1)["error_auroc"] is None  # nothing but errors


def test_a_single_correct_prediction_or_a_single_error_is_enough_for_the_area_under_the_curve() -> None:
    found = probabilities(0.5)
    found[0] = probabilities(0.91)[0]  # the most confident
    one_correct, one_wrong = PREDICTED + 1, PREDICTED.copy()
    one_correct[0] = PREDICTED[0]
    one_wrong[0] = 9
    assert scoring.full(found, one_correct)["error_auroc"] == 1
    assert scoring.full(found, one_wrong)["error_auroc"] == 0


def test_per_class_and_confusion_by_hand() -> None:
    rows = scoring.per_class(PREDICTED, LABELS, "0123456789")
    assert rows[1] == {"class": "1", "precision": 0.666667, "recall": 1.0, "f1": 0.8, "images": 2}
    assert rows[2] == {"class": "2", "precision": 0, "recall": 0, "f1": 0, "images": 1}  # never predicted
    assert rows[3] == {"class": "3", "precision": 0, "recall": 0, "f1": 0, "images": 0}
    matrix = scoring.confusion(PREDICTED, LABELS, 10)
    assert matrix.shape == (10, 10)
    assert matrix[2, 0] == 1  # a two, predicted as a zero
    assert matrix[0, 2] == 0
    assert matrix.sum() == 5
