"""Scores to probabilities: softmax(scores / temperature), the temperature chosen on the validation images, and kept
only if it helps there on images that it was not chosen on.

It never changes which digit is first, only how sure the model says it is.
Source: Guo et al., On Calibration of Modern Neural Networks (2017). So that a model without mistakes on validation is
not given endless confidence, the right digit's target is (n + 1) / (n + 2): Platt, Probabilistic Outputs for Support
Vector Machines (1999).
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax


@dataclass(frozen=True)
class Calibration:
    """What was found on the validation images.

    Attributes:
        temperature: by which to divide scores; 1.0 if none was kept.
        temperature_kept: whether one lowers the log loss, each half of the images with the temperature of the other.
        log_loss_without, log_loss_with: on these halves.
    """

    temperature: float
    temperature_kept: bool
    log_loss_without: float
    log_loss_with: float

    def facts(self) -> dict[str, float]:
        """Return all of it for model.json."""
        return asdict(self)


def calibrate(scores: np.ndarray, labels: np.ndarray) -> Calibration:
    """Return whether and by how much to cool `scores` (n, 10), whose softmax are probabilities, given `labels` (n,)."""
    parts = np.array_split(np.random.default_rng(0).permutation(len(labels)), 2)
    without = _log_loss(scores, labels) / len(labels)
    total = 0.0
    for fitted, left_out in (parts, parts[::-1]):
        temperature = fit_temperature(scores[fitted], labels[fitted])
        total += _log_loss(scores[left_out] / temperature, labels[left_out])
    helps = total / len(labels) < without
    kept = fit_temperature(scores, labels) if helps else 1.0
    return Calibration(kept, helps, round(without, 6), round(total / len(labels), 6))


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature by which to divide `scores` (n, 10), so that their softmax gives `labels` (n,) the
    smallest log loss; four decimals.
    """
    count, classes = scores.shape
    targets = np.full(scores.shape, 1 / (count + 2) / (classes - 1))
    targets[np.arange(count), labels] = (count + 1) / (count + 2)

    def loss(logarithm: float) -> float:
        return float(-(targets * log_softmax(scores / np.exp(logarithm), axis=1)).sum())

    return round(float(np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x)), 4)


def _log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the sum over images."""
    return float(-log_softmax(scores, axis=1)[np.arange(len(labels)), labels].sum())
