"""Scores of a model's probabilities on labelled images."""

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

DIGITS = np.arange(10)
DECIMALS = 6  # of every score; what is beyond differs between CPUs


def headline(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return accuracy and log loss (natural logarithm) of `probabilities` (n, 10) for `labels` (n,)."""
    return {
        "accuracy": _rounded(accuracy_score(labels, probabilities.argmax(axis=1))),
        "log_loss": _rounded(log_loss(labels, _normalised(probabilities), labels=DIGITS)),
    }


def full(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the headline scores, precision, recall and F1 averaged over digits, and the number of errors."""
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=DIGITS, average="macro", zero_division=0
    )
    scores = headline(probabilities, labels)
    return {
        "accuracy": scores["accuracy"],
        "precision_macro": _rounded(precision),
        "recall_macro": _rounded(recall),
        "f1_macro": _rounded(f1),
        "log_loss": scores["log_loss"],
        "errors": int((predicted != labels).sum()),
    }


def per_digit(predicted: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Return precision, recall, F1 and number of images of each digit, from 0 to 9."""
    columns = precision_recall_fscore_support(labels, predicted, labels=DIGITS, average=None, zero_division=0)
    return [
        {"digit": int(digit), "precision": _rounded(p), "recall": _rounded(r), "f1": _rounded(f), "images": int(n)}
        for digit, p, r, f, n in zip(DIGITS, *columns, strict=True)
    ]


def confusion(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the confusion matrix (10, 10) of counts: rows are the actual digits, columns the predicted ones."""
    return np.asarray(confusion_matrix(labels, predicted, labels=DIGITS))


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    """Return `probabilities` in float64, each row with the sum 1, which float32 only has to seven digits."""
    exact = probabilities.astype(np.float64)
    return np.asarray(exact / exact.sum(axis=1, keepdims=True))


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS)
