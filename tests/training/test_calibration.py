import numpy as np
import pytest

from pipeline.training.calibration import fit_temperature


def test_temperature_is_the_best_one() -> None:
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(4000, 10))
    labels = np.array([rng.choice(10, p=np.exp(row) / np.exp(row).sum()) for row in logits])
    assert fit_temperature(logits, labels) == pytest.approx(1, rel=0.05)
    # Logits that are three times too large are cooled by three.
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.05)


def test_no_mistakes_is_no_reason_for_endless_confidence() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=200)
    scores = rng.normal(size=(200, 10))
    scores[np.arange(200), labels] = scores.max(axis=1) + 0.5 + rng.random(200)
    odds = np.exp(scores / fit_temperature(scores, labels))
    sureness = (odds / odds.sum(axis=1, keepdims=True)).max(axis=1)
    assert 0.9 < sureness.mean() < 0.9999
