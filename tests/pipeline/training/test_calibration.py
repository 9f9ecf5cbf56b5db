import numpy as np
import pytest

from pipeline.training.calibration import calibrate, fit_temperature, fit_weights


def test_the_temperature_minimises_the_log_loss() -> None:
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(4000, 10))
    labels = np.array([rng.choice(10, p=np.exp(row) / np.exp(row).sum()) for row in logits])
    assert fit_temperature(logits, labels) == pytest.approx(1, rel=0.05)
    # Logits that are three times too large need a temperature of three.
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.05)


def test_confidence_is_finite_without_errors() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=200)
    scores = rng.normal(size=(200, 10))
    scores[np.arange(200), labels] = scores.max(axis=1) + 0.5 + rng.random(200)
    odds = np.exp(scores / fit_temperature(scores, labels))
    confidence = (odds / odds.sum(axis=1, keepdims=True)).max(axis=1)
    assert 0.9 < confidence.mean() < 0.9999


def drawn(count: int, stretch: float) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` scores, their labels drawn from their softmax, and the scores then made `stretch` times larger."""
    rng = np.random.default_rng(0)
    scores = 3 * rng.normal(size=(count, 10))
    labels = np.array([rng.choice(10, p=np.exp(row) / np.exp(row).sum()) for row in scores])
    return stretch * scores, labels


def test_weights_of_an_ensemble_favour_its_better_members() -> None:
    scores, labels = drawn(4000, 1)
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2, *scores.shape))
    members = np.stack([scores + noise[0], scores + noise[1], 3 * rng.normal(size=scores.shape)])
    weights = fit_weights(members, labels)
    assert weights.sum() == pytest.approx(1, abs=0.01)
    assert weights[2] < 0.05
    assert weights[0] == pytest.approx(weights[1], rel=0.1)
    found, equal = (calibrate(np.tensordot(w, members, 1), labels).log_loss_with for w in (weights, [1 / 3] * 3))
    assert found < equal


def test_weights_are_equal_if_others_do_not_lower_the_log_loss() -> None:
    scores, labels = drawn(100, 1)
    noise = np.random.default_rng(1).normal(size=(5, *scores.shape))
    assert fit_weights(scores + noise, labels).tolist() == [0.2] * 5
    assert fit_weights(scores[None], labels).tolist() == [1.0]


def test_a_temperature_that_lowers_the_log_loss_is_kept() -> None:
    found = calibrate(*drawn(4000, 3))
    assert found.temperature_kept
    assert found.temperature == fit_temperature(*drawn(4000, 3))
    assert found.log_loss_with < found.log_loss_without


def test_a_temperature_that_does_not_generalise_is_not_kept() -> None:
    """The scores are calibrated; on so few images the best temperature is noise and raises the log loss of others."""
    scores, labels = drawn(100, 1)
    found = calibrate(scores, labels)
    assert fit_temperature(scores, labels) != 1
    assert not found.temperature_kept
    assert found.temperature == 1
    assert found.log_loss_with >= found.log_loss_without
