"""Uncertainty of accuracies, and significance of differences between models.

Sources: Wilson (1927); McNemar (1947), exact test; Holm (1979), all from statsmodels.
"""

from collections.abc import Sequence

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from pipeline.scoring.rounding import rounded

ALPHA = 0.05  # intervals have a coverage of 95%


def interval(correct: int, images: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of an accuracy, from the number of correct predictions and of images."""
    low, high = proportion_confint(correct, images, alpha=ALPHA, method="wilson")
    return rounded(low), rounded(high)


def discordant(first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
    """Return the number of images that only the first and only the second model predicts correctly.

    Args:
        first, second: (n,) bool, whether each model's prediction is correct, for the same images.
    """
    return int((first & ~second).sum()), int((~first & second).sum())


def p_value(only_first: int, only_second: int) -> float:
    """Return the p value of McNemar's exact test for equal accuracies, given the counts of `discordant`."""
    table = [[0, only_first], [only_second, 0]]  # images with equal outcomes do not enter
    return float(mcnemar(table, exact=True).pvalue)


def corrected(p_values: Sequence[float]) -> list[float]:
    """Return `p_values` with Holm's correction for multiple tests."""
    return [rounded(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []
