"""The number of decimals of reported scores.

ONNX Runtime selects its instructions by processor; its probabilities differ by about 1e-6. Scores computed from
probabilities are therefore rounded to four decimals; docs/reproducibility.md states the margin. Scores computed from
counts (accuracy, F1, coverage) have no such deviations.
"""

DECIMALS = 6  # of scores computed from counts
PROBABILITY_DECIMALS = 4  # of scores computed from probabilities


def rounded(value: float) -> float:
    """Return `value`, computed from counts, rounded to six decimals."""
    return round(float(value), DECIMALS)


def rounded_probability(value: float) -> float:
    """Return `value`, computed from probabilities, rounded to four decimals."""
    return round(float(value), PROBABILITY_DECIMALS)
