"""Accuracy of a model on images that are spoilt, and on those of another dataset."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.datasets import arrays
from pipeline.imaging.corruptions import CORRUPTIONS, SEVERITIES

Predict = Callable[[np.ndarray], np.ndarray]  # images (n, 1, 28, 28) float32 in [0, 1] to digits (n,)


def cells(predict: Predict) -> list[dict[str, str | float]]:
    """Return a row per corruption and severity, with the accuracy on its images in data/corrupted."""
    rows: list[dict[str, str | float]] = []
    for name in CORRUPTIONS:
        spoilt = arrays.load(arrays.CORRUPTED / name)
        right = (predict(spoilt.scaled()) == spoilt.labels).reshape(len(SEVERITIES), -1)
        rows += [
            {"corruption": name, "severity": severity, "accuracy": round(float(part.mean()), 6)}
            for severity, part in zip(SEVERITIES, right, strict=True)
        ]
    return rows


def summary(predict: Predict, rows: list[dict[str, str | float]]) -> dict[str, float]:
    """Return accuracies: on the clean images, the mean and the least of `rows`, and on the foreign digits if any."""
    accuracies = [float(row["accuracy"]) for row in rows]
    found = {
        "clean": _accuracy(predict, arrays.CLEAN),
        "mean": round(sum(accuracies) / len(accuracies), 6),
        "worst": min(accuracies),
    }
    return found | ({"foreign": _accuracy(predict, arrays.FOREIGN)} if arrays.FOREIGN.exists() else {})


def _accuracy(predict: Predict, folder: Path) -> float:
    images = arrays.load(folder)
    return round(float((predict(images.scaled()) == images.labels).mean()), 6)
