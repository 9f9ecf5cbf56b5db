from pathlib import Path

import numpy as np
import pytest

from pipeline import json_file
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.evaluate import evaluate, gallery, on_corrupted
from pipeline.robustness.corruptions import CORRUPTIONS, SEVERITIES

LABELS, CLASSES = np.array([0, 1, 2, 3]), ["zero", *"123456789"]
PROBABILITIES = np.full((4, 10), 0.01)
PROBABILITIES[[0, 1, 2, 3], [0, 5, 6, 3]] = [0.95, 0.7, 0.9, 0.6]  # correct, wrong, wrong, correct


def test_most_confident_errors_come_first() -> None:
    rows, captions = gallery(PROBABILITIES, LABELS, CLASSES, 10, errors=True)
    assert rows.tolist() == [2, 1]
    assert captions == ["2 → 6  0.90", "1 → 5  0.70"]


def test_least_confident_correct_predictions_come_first() -> None:
    rows, captions = gallery(PROBABILITIES, LABELS, CLASSES, 1, errors=False)
    assert rows.tolist() == [3]
    assert captions == ["3  0.60"]


class BrightnessReader:
    """Takes the brightness of the first pixel for the digit, and rejects odd ones."""

    def infer(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        digits = np.rint(images[:, 0, 0, 0] * 255).astype(int)
        return np.eye(10, dtype=np.float32)[digits], (digits % 2 == 0).astype(np.float32)

    def accept(self, digitness: np.ndarray) -> np.ndarray:
        return digitness > 0.5


class OffByOne(BrightnessReader):
    """Is wrong by one."""

    def infer(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, digitness = super().infer(images)
        return np.roll(probabilities, 1, axis=1), digitness


def test_validation_scores_are_those_of_the_validated_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = np.arange(10, dtype=np.uint8)
    images = np.zeros((10, 28, 28), np.uint8)
    images[:, 0, 0] = labels
    for folder in (arrays.VALIDATION, arrays.TEST):
        LabelledImages(images, labels).save(folder)
    json_file.write(arrays.METADATA, {"classes": list("0123456789")})
    refit, before = BrightnessReader(), OffByOne()
    refit.has_detector = before.has_detector = True
    found = evaluate(refit, before)
    assert found["test"]["errors"] == 0
    assert found["validation"]["accuracy"] == 0


def test_each_corruption_and_severity_is_measured_on_its_own_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = np.array([2, 4, 6, 1] * 3, np.uint8)
    for number, name in enumerate(CORRUPTIONS):
        images = np.zeros((12, 28, 28), np.uint8)
        images[:, 0, 0] = labels
        images[4 * (number % 3), 0, 0] = 8  # one error, at one severity
        LabelledImages(images, labels).save(arrays.CORRUPTED / name)
    cells = on_corrupted(BrightnessReader())
    assert [(cell["corruption"], cell["severity"]) for cell in cells] == [
        (name, severity) for name in CORRUPTIONS for severity in SEVERITIES
    ]
    assert sum(cell["published"] for cell in cells) == 15
    for number, cell in enumerate(cells):
        wrong = number % 3 == number // 3 % 3
        found = [cell[key] for key in ("accuracy", "coverage", "selective_accuracy", "accepted_and_correct")]
        assert found == ([0.75, 0.75, 0.666667, 0.5] if wrong else [1.0, 0.75, 1.0, 0.75])
