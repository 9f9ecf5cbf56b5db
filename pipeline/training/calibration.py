"""Scores to probabilities: softmax(scores / temperature), the temperature chosen on the validation images.

It never changes which digit is first, only how sure the model says it is.
Source: Guo et al., On Calibration of Modern Neural Networks (2017). So that a model without mistakes on validation is
not given endless confidence, the right digit's target is (n + 1) / (n + 2): Platt, Probabilistic Outputs for Support
Vector Machines (1999).
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax


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
