"""The rejection threshold of a model: what it may cost in digits, turned into the constants of `digits.model.Acceptance`."""

import math

import numpy as np

from digits.model import Acceptance


def fit_acceptance(
    confidence: np.ndarray,
    digitness: np.ndarray,
    *,
    max_false_rejection_rate: float,
    confident: float,
    unsure_factor: float,
) -> Acceptance:
    """Return the strictest rule that rejects at most a given fraction of digits.

    Args:
        confidence: (n,) largest probability of each validation digit.
        digitness: (n,) of the same digits.
        max_false_rejection_rate: The largest fraction of these digits to reject.
        confident: The confidence from which on the lower threshold applies.
        unsure_factor: How many times higher the threshold is below that.
    """
    effective = np.where(confidence >= confident, digitness, digitness / unsure_factor)
    threshold = float(np.quantile(effective, max_false_rejection_rate, method="lower"))
    threshold = _round_down(threshold)
    return Acceptance(threshold, confident, min(1.0, _round_down(unsure_factor * threshold)))


def _round_down(value: float) -> float:
    """Return `value` to four decimals, never above it: no digit is rejected because of rounding."""
    return math.floor(value * 10_000 + 1e-6) / 10_000
