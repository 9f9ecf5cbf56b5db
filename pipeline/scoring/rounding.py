"""To how many decimals scores are given."""

DECIMALS = 6  # what is beyond differs between CPUs


def rounded(value: float) -> float:
    """Return `value` to six decimals."""
    return round(float(value), DECIMALS)
