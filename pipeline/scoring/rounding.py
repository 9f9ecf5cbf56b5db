"""The number of decimals of reported scores."""

DECIMALS = 6  # further decimals differ between CPUs


def rounded(value: float) -> float:
    """Return `value` rounded to six decimals."""
    return round(float(value), DECIMALS)
