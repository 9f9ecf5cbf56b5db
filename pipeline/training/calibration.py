"""Temperature scaling: probabilities = softmax(scores / temperature). The temperature is fitted on the validation
images and kept only if it lowers the log loss in two-fold cross-fitting. It never changes the predicted digit. The
weights of an ensemble are fitted in the same way.

Source: Guo et al., On Calibration of Modern Neural Networks (2017). The target of the correct digit is
(n + 1) / (n + 2), so that a model without validation errors does not get infinite confidence: Platt, Probabilistic
Outputs for Support Vector Machines (1999).
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax


@dataclass(frozen=True)
class Calibration:
    """The result of fitting a temperature.

    Attributes:
        temperature: by which to divide scores; 1.0 if none is kept.
        temperature_kept: whether it lowers the log loss, cross-fitted on the validation images.
        log_loss_without: on the validation images, at temperature 1.
        log_loss_with: the same, with a cross-fitted temperature.
    """

    temperature: float
    temperature_kept: bool
    log_loss_without: float
    log_loss_with: float

    def to_dict(self) -> dict[str, float]:
        """Return all attributes by name."""
        return asdict(self)


def calibrate(scores: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fit the temperature of `scores` (n, 10), whose softmax are probabilities, to `labels` (n,)."""
    halves = _halves(len(labels))
    without = log_loss(scores, labels)
    total = 0.0
    for fitted, held_out in (halves, halves[::-1]):
        temperature = fit_temperature(scores[fitted], labels[fitted])
        total += log_loss(scores[held_out] / temperature, labels[held_out]) * len(held_out)
    kept = total / len(labels) < without
    temperature = fit_temperature(scores, labels) if kept else 1.0
    return Calibration(temperature, kept, round(without, 6), round(total / len(labels), 6))


def fit_weights(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the weights (members,) of an ensemble, which sum to 1: those whose weighted mean of `logits` (members, n,
    classes) has the smallest log loss for `labels` (n,), at its best temperature. They are equal if others do not lower
    the log loss in two-fold cross-fitting.
    """
    count = len(logits)
    equal = np.full(count, 1 / count)
    if count == 1:
        return equal

    def scores(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.tensordot(weights, logits[:, rows], 1)

    def fit(rows: np.ndarray) -> np.ndarray:
        """Return weights times inverse temperature."""
        start = equal / fit_temperature(scores(equal, rows), labels[rows])
        found = minimize(
            lambda weights: smoothed_log_loss(scores(weights, rows), labels[rows]) / len(rows),
            start,
            bounds=[(0, None)] * count,
            method="L-BFGS-B",
        )
        return np.asarray(found.x)

    with_equal = with_fitted = 0.0
    halves = _halves(len(labels))
    for fitted, held_out in (halves, halves[::-1]):
        temperature = fit_temperature(scores(equal, fitted), labels[fitted])
        with_equal += log_loss(scores(equal, held_out) / temperature, labels[held_out]) * len(held_out)
        with_fitted += log_loss(scores(fit(fitted), held_out), labels[held_out]) * len(held_out)
    weights = fit(np.arange(len(labels)))
    if with_fitted >= with_equal or not weights.sum():
        return equal
    return np.asarray((weights / weights.sum()).round(3))


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature for which softmax(`scores` (n, 10) / temperature) has the smallest log loss for `labels`
    (n,), rounded to four decimals.
    """

    def loss(logarithm: float) -> float:
        return smoothed_log_loss(scores / np.exp(logarithm), labels)

    return round(float(np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x)), 4)


def smoothed_log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the log loss of softmax(`scores` (n, classes)), summed over images, with Platt's targets for `labels`
    (n,): (n + 1) / (n + 2) for the label, the rest shared by the other classes.
    """
    count, classes = scores.shape
    targets = np.full(scores.shape, 1 / (count + 2) / (classes - 1))
    targets[np.arange(count), labels] = (count + 1) / (count + 2)
    return float(-(targets * log_softmax(scores, axis=1)).sum())


def _halves(count: int) -> list[np.ndarray]:
    return np.array_split(np.random.default_rng(0).permutation(count), 2)


def log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean log loss of softmax(`scores` (n, 10)) for `labels` (n,)."""
    return float(-log_softmax(scores, axis=1)[np.arange(len(labels)), labels].mean())
