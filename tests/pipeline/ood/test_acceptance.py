import numpy as np
import pytest

from pipeline.ood.acceptance import fit_acceptance

STEP = 1e-4  # thresholds have four decimals


@pytest.fixture
def digitness() -> np.ndarray:
    """Return the digitness (1000,) of digits."""
    return np.random.default_rng(0).beta(8, 1, 1000).astype(np.float32)


@pytest.mark.parametrize("rate", [0.001, 0.003, 0.02, 0.0999])
def test_the_rate_of_rejected_digits_is_just_allowed(digitness: np.ndarray, rate: float) -> None:
    rule = fit_acceptance(digitness, max_false_rejection_rate=rate)
    assert (~rule.accept(digitness)).sum() == int(rate * 1000 + 1e-9)
    assert (digitness < rule.min_digitness + 2 * STEP).mean() > rate


def test_a_higher_rate_gives_a_higher_threshold(digitness: np.ndarray) -> None:
    low, high = (fit_acceptance(digitness, max_false_rejection_rate=rate).min_digitness for rate in (0.001, 0.05))
    assert low < high


def test_thresholds_have_four_decimals(digitness: np.ndarray) -> None:
    threshold = fit_acceptance(digitness, max_false_rejection_rate=0.01).min_digitness
    assert round(threshold, 4) == threshold


def test_equal_digitness_rejects_nothing() -> None:
    rule = fit_acceptance(np.full(100, 0.9, np.float32), max_false_rejection_rate=0.05)
    assert rule.min_digitness == pytest.approx(0.9, abs=STEP)
    assert rule.accept(np.full(100, 0.9, np.float32)).all()
