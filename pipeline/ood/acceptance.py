"""The rejection threshold of a model, fitted to validation digits: the constants of `digits.model.Acceptance`."""

import math

import numpy as np

from digits.model import Acceptance

STEPS = 10_000  # thresholds are rounded down to four decimals, so that rounding rejects no digit


def fit_acceptance(
    confidence: np.ndarray,
    digitness: np.ndarray,
    *,
    max_false_rejection_rate: float,
    confident: float,
    unsure_factor: float,
) -> Acceptance:
    """Return the strictest rule, its thresholds to four decimals, that rejects at most a given fraction of digits.

    Args:
        confidence: (n,) largest probability of each validation digit.
        digitness: (n,) of the same digits.
        max_false_rejection_rate: The largest fraction of these digits to reject.
        confident: The confidence from which on the lower threshold applies.
        unsure_factor: How many times higher the threshold is below that.
    """
    effective = np.sort(np.where(confidence >= confident, digitness, digitness.astype(np.float64) / unsure_factor))
    rejected = int(max_false_rejection_rate * len(effective) + 1e-9)  # 0.003 * 5000 may be less than 15
    steps = math.floor(effective[rejected] * STEPS)
    return Acceptance(steps / STEPS, confident, min(1.0, math.floor(unsure_factor * steps) / STEPS))
