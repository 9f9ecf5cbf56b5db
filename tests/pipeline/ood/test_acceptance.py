import numpy as np
import pytest

from digits.model import Acceptance
from pipeline.ood.acceptance import fit_acceptance

STEP = 1e-4  # thresholds have four decimals


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (n, 10) and digitness (n,) of digits, float32; a tenth is predicted without confidence."""
    rng = np.random.default_rng(seed)
    confidence = np.where(rng.random(count) < 0.1, rng.uniform(0.3, 0.95, count), rng.uniform(0.95, 1, count))
    probabilities = np.repeat(((1 - confidence) / 9)[:, None], 10, axis=1)
    probabilities[:, 3] = confidence
    return probabilities.astype(np.float32), rng.beta(3, 0.3, count).astype(np.float32)


def fitted(probabilities: np.ndarray, digitness: np.ndarray, rate: float, factor: float = 8.0) -> Acceptance:
    return fit_acceptance(
        probabilities.max(axis=1), digitness, max_false_rejection_rate=rate, confident=0.95, unsure_factor=factor
    )


@pytest.mark.parametrize("rate", [0.0005, 0.003, 0.01, 0.05])
@pytest.mark.parametrize("factor", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("count", [240, 997, 5000])
def test_at_most_the_given_fraction_is_rejected(rate: float, factor: float, count: int) -> None:
    for seed in range(10):
        probabilities, digitness = draw(count, seed)
        rule = fitted(probabilities, digitness, rate, factor)
        assert 1 - rule.accept(probabilities, digitness).mean() <= rate + 1e-12


@pytest.mark.parametrize("rate", [0.003, 0.01, 0.05])
@pytest.mark.parametrize("count", [1000, 5000])
def test_no_stricter_rule_rejects_at_most_the_given_fraction(rate: float, count: int) -> None:
    """`rate * count` is an integer here: exactly that many digits may be rejected."""
    for seed in range(10):
        probabilities, digitness = draw(count, seed)
        rule = fitted(probabilities, digitness, rate)
        threshold = rule.min_digitness + 2 * STEP
        stricter = Acceptance(threshold, 0.95, min(1.0, 8 * threshold))
        assert 1 - stricter.accept(probabilities, digitness).mean() > rate


def test_the_number_of_rejected_digits_is_exact() -> None:
    """Also where `rate * 1000` is below the integer in floating point."""
    digitness = np.linspace(0.001, 1, 1000, dtype=np.float32)
    probabilities = np.eye(10, dtype=np.float32)[np.zeros(1000, int)]
    for allowed in range(1, 100):
        rule = fitted(probabilities, digitness, allowed / 1000)
        assert (~rule.accept(probabilities, digitness)).sum() == allowed


def test_unsure_predictions_need_a_multiple_of_the_digitness() -> None:
    probabilities, digitness = draw(5000, 0)
    rule = fitted(probabilities, digitness, 0.003, 4.0)
    assert rule.confident == 0.95
    assert 0 < rule.min_digitness < 0.25
    assert rule.min_digitness_unless_confident == pytest.approx(4 * rule.min_digitness, abs=STEP)
    certain, unsure = np.eye(10, dtype=np.float32)[:1], np.full((1, 10), 0.1, np.float32)
    for factor, expected in ((0.99, False), (1.01, True), (3.99, True), (4.01, True)):
        assert rule.accept(certain, np.array([factor * rule.min_digitness])) == expected
    for factor, expected in ((1.01, False), (3.99, False), (4.01, True)):
        assert rule.accept(unsure, np.array([factor * rule.min_digitness])) == expected


def test_thresholds_are_at_most_one() -> None:
    probabilities = np.eye(10, dtype=np.float32)[np.zeros(100, int)]
    rule = fitted(probabilities, np.full(100, 0.9, np.float32), 0.01)
    assert rule.min_digitness == pytest.approx(0.9, abs=STEP)
    assert rule.min_digitness_unless_confident == 1
