"""Scores to probabilities: softmax(scores / temperature), the temperature chosen on the validation images.

It never changes which digit is first, only how sure the model says it is. Source: Guo et al., On Calibration of Modern
Neural Networks (2017).
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature by which to divide `scores` (n, 10), so that their softmax gives `labels` (n,) the
    smallest log loss; four decimals.
    """
    digits = np.arange(10)

    def loss(logarithm: float) -> float:
        return float(log_loss(labels, softmax(scores / np.exp(logarithm), axis=1), labels=digits))

    return round(float(np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x)), 4)
