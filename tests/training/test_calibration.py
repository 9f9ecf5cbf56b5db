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
