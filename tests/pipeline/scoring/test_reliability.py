import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from pipeline.scoring.reliability import BINS, expected_calibration_error, reliability


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (2000, 10) float32 of an overconfident model, and labels."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(2000, 10))
    odds = np.exp(logits)
    labels = np.array([rng.choice(10, p=row / row.sum()) for row in odds])
    odds = np.exp(2 * logits)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32), labels.astype(np.uint8)


def test_bins_are_those_of_scikit_learn(predictions: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = predictions
    bins = reliability(probabilities, labels)
    correct = probabilities.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(correct, probabilities.max(axis=1), n_bins=BINS, strategy="uniform")
    assert [bin_["accuracy"] for bin_ in bins] == pytest.approx(accuracy, abs=1e-6)
    assert [bin_["confidence"] for bin_ in bins] == pytest.approx(confidence, abs=6e-4)
    assert sum(bin_["images"] for bin_ in bins) == 2000
    assert all(bin_["from"] < bin_["confidence"] <= bin_["to"] for bin_ in bins)


def test_bins_by_hand() -> None:
    """Bins are a fifteenth wide and include their upper bounds, here 0.2. The first needs many classes."""
    confidence, labels = np.array([0.05, 0.2, 0.9, 0.91234]), np.array([0, 0, 0, 1])
    probabilities = np.tile((1 - confidence[:, None]) / 19, 20)
    probabilities[:, 0] = confidence
    assert reliability(probabilities, labels) == [
        {"from": 0, "to": 0.066667, "images": 1, "confidence": 0.05, "accuracy": 1},
        {"from": 0.133333, "to": 0.2, "images": 1, "confidence": 0.2, "accuracy": 1},
        {"from": 0.866667, "to": 0.933333, "images": 2, "confidence": 0.906, "accuracy": 0.5},
    ]


def test_expected_calibration_error_is_that_of_torchmetrics(predictions: tuple[np.ndarray, np.ndarray]) -> None:
    probabilities, labels = predictions
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(labels.astype(np.int64)), 10, n_bins=BINS, norm="l1"
    )
    found = expected_calibration_error(probabilities, labels)
    assert found == pytest.approx(float(expected), abs=6e-5)
    assert found > 0.1


def test_certain_and_correct_predictions_have_no_calibration_error() -> None:
    assert expected_calibration_error(np.eye(10, dtype=np.float32), np.arange(10)) == 0
    assert expected_calibration_error(np.eye(10, dtype=np.float32), np.arange(10)[::-1]) == 1
