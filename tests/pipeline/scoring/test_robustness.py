from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.robustness.corruptions import CORRUPTIONS
from pipeline.scoring import robustness


@pytest.fixture
def corrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return data/corrupted with four images a severity; a pixel of each says what will be read there."""
    for name, folder in (("CORRUPTED", "."), ("CLEAN", "clean"), ("FOREIGN", "foreign")):
        monkeypatch.setattr(arrays, name, tmp_path / folder)
    labels = np.array([1, 2, 3, 4], np.uint8)
    write(tmp_path / "clean", labels, labels)
    for name in CORRUPTIONS:
        write(tmp_path / name, np.tile(labels, 3), np.tile(labels, 3))
    wrong = [1, 2, 3, 4, 1, 2, 3, 0, 0, 0, 0, 4]
    write(tmp_path / "fog", np.array(wrong, np.uint8), np.tile(labels, 3))
    return tmp_path


def write(folder: Path, read: np.ndarray, labels: np.ndarray) -> None:
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0] = read
    LabelledImages(images, labels).save(folder)


def predict(images: np.ndarray) -> np.ndarray:
    return (images[:, 0, 0, 0] * 255).round().astype(int)


def test_a_row_per_corruption_and_severity(corrupted: Path) -> None:
    rows = robustness.cells(predict)
    assert len(rows) == 3 * len(CORRUPTIONS)
    fog = [row for row in rows if row["corruption"] == "fog"]
    assert [(row["severity"], row["accuracy"]) for row in fog] == [(1, 1.0), (2, 0.75), (3, 0.25)]
    assert all(row["accuracy"] == 1 for row in rows if row["corruption"] != "fog")


def test_summary(corrupted: Path) -> None:
    found = robustness.summary(predict, robustness.cells(predict))
    assert found == {"clean": 1.0, "mean": round(1 - 1 / 51, 6), "worst": 0.25}
    write(corrupted / "foreign", np.array([7, 7], np.uint8), np.array([7, 1], np.uint8))
    assert robustness.summary(predict, robustness.cells(predict))["foreign"] == 0.5
