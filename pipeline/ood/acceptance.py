"""The rejection threshold of a model, fitted to validation digits: the constant of `digits.model.Acceptance`."""

import math

import numpy as np

from digits.model import Acceptance

EVERYTHING = Acceptance(0.0)  # of a model without OOD detector
STEPS = 10_000  # thresholds are rounded down to four decimals, so that rounding rejects no digit


def fit_acceptance(digitness: np.ndarray, *, max_false_rejection_rate: float) -> Acceptance:
    """Return the strictest threshold, to four decimals, that rejects at most a given fraction of digits.

    Args:
        digitness: (n,) of the validation digits.
        max_false_rejection_rate: The largest fraction of these digits to reject.
    """
    rejected = int(max_false_rejection_rate * len(digitness) + 1e-9)  # 0.003 * 5000 may be less than 15
    return Acceptance(math.floor(np.sort(digitness)[rejected] * STEPS) / STEPS)
