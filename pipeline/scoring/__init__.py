"""Scores of a model's probabilities on labelled images."""

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
)

from pipeline.scoring.reliability import expected_error, reliability
from pipeline.scoring.rounding import rounded
from pipeline.scoring.uncertainty import interval

DIGITS = np.arange(10)


def headline(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return scores of `probabilities` (n, 10) for `labels` (n,): accuracy, and how good the probabilities are.

    log_loss is the mean of -ln of the label's probability; brier the mean over images of the sum over digits of the
    squared difference to the truth, 0 to 2; ece the expected calibration error, see `pipeline.scoring.reliability`.
    """
    exact = _normalised(probabilities)
    return {
        "accuracy": rounded(accuracy_score(labels, probabilities.argmax(axis=1))),
        "log_loss": rounded(log_loss(labels, exact, labels=DIGITS)),
        "brier": rounded(brier_score_loss(labels, exact, labels=DIGITS, scale_by_half=False)),
        "ece": expected_error(reliability(probabilities, labels)),
    }


def full(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the headline scores, the 95% interval of the accuracy, precision, recall and F1 averaged over digits, and
    the number of errors.
    """
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=DIGITS, average="macro", zero_division=0
    )
    scores = headline(probabilities, labels)
    errors = int((predicted != labels).sum())
    low, high = interval(len(labels) - errors, len(labels))
    return {
        "accuracy": scores.pop("accuracy"),
        "accuracy_low": low,
        "accuracy_high": high,
        "precision_macro": rounded(precision),
        "recall_macro": rounded(recall),
        "f1_macro": rounded(f1),
        **scores,
        "errors": errors,
    }


def per_digit(predicted: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Return precision, recall, F1 and number of images of each digit, from 0 to 9."""
    columns = precision_recall_fscore_support(labels, predicted, labels=DIGITS, average=None, zero_division=0)
    return [
        {"digit": int(digit), "precision": rounded(p), "recall": rounded(r), "f1": rounded(f), "images": int(n)}
        for digit, p, r, f, n in zip(DIGITS, *columns, strict=True)
    ]


def confusion(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the confusion matrix (10, 10) of counts: rows are the actual digits, columns the predicted ones."""
    return np.asarray(confusion_matrix(labels, predicted, labels=DIGITS))


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    """Return `probabilities` in float64, each row with the sum 1, which float32 only has to seven digits."""
    exact = probabilities.astype(np.float64)
    return np.asarray(exact / exact.sum(axis=1, keepdims=True))
