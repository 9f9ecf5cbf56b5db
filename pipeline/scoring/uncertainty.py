"""How much chance there is in a score on so many images, and whether two models differ by more than chance.

Sources: Wilson (1927); McNemar (1947), exact; Holm (1979), as statsmodels has them.
"""

from collections.abc import Sequence

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from pipeline.scoring.rounding import rounded

ALPHA = 0.05  # intervals hold the true share in 95 of 100 samples


def interval(right: int, images: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of an accuracy of which `right` in `images` were seen."""
    low, high = proportion_confint(right, images, alpha=ALPHA, method="wilson")
    return rounded(low), rounded(high)


def discordant(first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
    """Return how many images only the first and only the second model reads right; (n,) bool of the same images."""
    return int((first & ~second).sum()), int((~first & second).sum())


def p_value(only_first: int, only_second: int) -> float:
    """Return how probable counts at least so unequal are if both models are as good: McNemar's exact test."""
    table = [[0, only_first], [only_second, 0]]  # what both read right, or wrong, does not enter
    return float(mcnemar(table, exact=True).pvalue)


def corrected(p_values: Sequence[float]) -> list[float]:
    """Return `p_values` as Holm corrects them for how many they are."""
    return [rounded(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []
