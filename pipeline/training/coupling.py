"""Pairwise coupling: scores of ten digits from the 45 one-vs-one decision values of a support vector machine.

The probability that digit i beats digit j is sigmoid(slope * d_ij). The score of a digit is the sum of the logarithms
of its nine probabilities, divided by a temperature. Unlike the votes of `SVC.decision_function`, which are nearly equal
for all images, these scores keep how close each decision was.

Sources: Hastie and Tibshirani, Classification by Pairwise Coupling (1998); Platt, Probabilistic Outputs for Support
Vector Machines (1999), for sigmoids and targets.
"""

import itertools

import numpy as np
from scipy.optimize import minimize

from pipeline.training.calibration import smoothed_log_loss

BOUNDS = (-5.0, 5.0)  # of the logarithms of slope and temperature


def incidence(classes: int) -> np.ndarray:
    """Return (2 * pairs, classes) of 0 and 1: row k names the first class of pair k, row pairs + k its second, with the
    pairs in scikit-learn's order (0, 1), (0, 2), ...
    """
    first, second = np.array(list(itertools.combinations(range(classes), 2))).T
    return np.eye(classes)[np.concatenate([first, second])]


def couple(decisions: np.ndarray, slope: float, temperature: float = 1.0) -> np.ndarray:
    """Return scores (n, classes) for one-vs-one `decisions` (n, pairs), positive for the first class of a pair."""
    pairs = decisions.shape[1]
    classes = round((1 + (1 + 8 * pairs) ** 0.5) / 2)
    scaled = slope * np.concatenate([decisions, -decisions], axis=1)
    return np.asarray(-np.logaddexp(0, -scaled) @ incidence(classes) / temperature)


def fit_coupling(decisions: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the slope and temperature with the smallest log loss for `labels` (n,), with four decimals."""

    def loss(logarithms: np.ndarray) -> float:
        slope, temperature = np.exp(np.clip(logarithms, *BOUNDS))
        return smoothed_log_loss(couple(decisions, slope, temperature), labels)

    found = minimize(loss, [1.0, 0.5], method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-8}).x
    slope, temperature = (round(float(value), 4) for value in np.exp(np.clip(found, *BOUNDS)))
    return slope, temperature
