"""Scores of a model's probabilities on labelled images. Pure functions: nothing here reads files or runs a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from pipeline.scoring.reliability import expected_calibration_error
from pipeline.scoring.rounding import PROBABILITY_DECIMALS, rounded, rounded_probability
from pipeline.scoring.uncertainty import interval


def headline(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return accuracy and log loss of `probabilities` (n, classes) for `labels` (n,)."""
    return {
        "accuracy": rounded(accuracy_score(labels, probabilities.argmax(axis=1))),
        "log_loss": rounded_probability(log_loss(labels, _normalised(probabilities), labels=_classes(probabilities))),
    }


def full(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Return the scores of `probabilities` (n, classes) for `labels` (n,).

    accuracy has a 95% interval; precision, recall and f1 are averaged over the classes. brier is the mean squared
    difference between probabilities and one-hot labels, summed over classes (0 to 2); ece the expected calibration
    error; error_auroc the area under the ROC curve of confidence as a predictor of correct answers (null without
    errors).
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1).round(PROBABILITY_DECIMALS)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=_classes(probabilities), average="macro", zero_division=0
    )
    correct = predicted == labels
    low, high = interval(int(correct.sum()), len(labels))
    scores = headline(probabilities, labels)
    return {
        "accuracy": scores["accuracy"],
        "accuracy_low": low,
        "accuracy_high": high,
        "precision": rounded(precision),
        "recall": rounded(recall),
        "f1": rounded(f1),
        "log_loss": scores["log_loss"],
        "brier": rounded_probability(
            brier_score_loss(labels, _normalised(probabilities), labels=_classes(probabilities), scale_by_half=False)
        ),
        "ece": expected_calibration_error(probabilities, labels),
        "error_auroc": rounded_probability(roc_auc_score(correct, confidence))
        if 0 < correct.sum() < len(labels)
        else None,
        "errors": int((~correct).sum()),
    }


def per_class(predicted: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return name, precision, recall, F1 and number of images of each of `classes`."""
    numbers = np.arange(len(classes))
    columns = precision_recall_fscore_support(labels, predicted, labels=numbers, average=None, zero_division=0)
    return [
        {"class": name, "precision": rounded(p), "recall": rounded(r), "f1": rounded(f), "images": int(n)}
        for name, p, r, f, n in zip(classes, *columns, strict=True)
    ]


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix (classes, classes) of counts: rows are actual, columns predicted classes."""
    return np.asarray(confusion_matrix(labels, predicted, labels=np.arange(classes)))


def _classes(probabilities: np.ndarray) -> np.ndarray:
    return np.arange(probabilities.shape[1])


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    """Return `probabilities` in float64, with rows that sum to 1; in float32 they do so to seven digits only."""
    exact = probabilities.astype(np.float64)
    return np.asarray(exact / exact.sum(axis=1, keepdims=True))
