import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from pipeline.scoring.reliability import BINS, expected_error, reliability


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (2000, 10) float32 of a model that is too sure of itself, and labels."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(2000, 10))
    odds = np.exp(logits)
    labels = np.array([rng.choice(10, p=row / row.sum()) for row in odds])
    odds = np.exp(2 * logits)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32), labels.astype(np.uint8)


def test_bins_are_those_of_scikit_learn(answers: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = answers
    bins = reliability(probabilities, labels)
    right = probabilities.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=BINS, strategy="uniform")
    assert [bin_["accuracy"] for bin_ in bins] == pytest.approx(accuracy, abs=1e-6)
    assert [bin_["confidence"] for bin_ in bins] == pytest.approx(confidence, abs=1e-6)
    assert sum(bin_["images"] for bin_ in bins) == 2000
    assert all(bin_["from"] < bin_["confidence"] <= bin_["to"] for bin_ in bins)


def test_expected_error_is_that_of_torchmetrics(answers: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = answers
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels.astype(np.int64)), 10, n_bins=BINS, norm="l1"
    )
    found = expected_error(reliability(probabilities, labels))
    assert found == pytest.approx(float(expected), abs=1e-6)
    assert found > 0.1


def test_sure_and_right_is_no_error() -> None:
    assert expected_error(reliability(np.eye(10, dtype=np.float32), np.arange(10))) == 0
    assert expected_error(reliability(np.eye(10, dtype=np.float32), np.arange(10)[::-1])) == 1
