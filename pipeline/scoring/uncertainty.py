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


def against_first(correct: Sequence[np.ndarray]) -> list[dict[str, float | None]]:
    """Return McNemar's test of each model against the first, on the same images; all values are None for the first.

    only_first_correct and only_this_correct count the images that only one of the two predicts correctly;
    mcnemar_p_holm is the p value with Holm's correction.

    Args:
        correct: for each model, (n,) bool, whether its prediction is correct.
    """
    counts = [discordant(correct[0], other) for other in correct[1:]]
    p_values = corrected([p_value(*count) for count in counts])
    found = [(None, None, None), *((*count, p) for count, p in zip(counts, p_values, strict=True))]
    return [dict(zip(("only_first_correct", "only_this_correct", "mcnemar_p_holm"), row, strict=True)) for row in found]


def corrected(p_values: Sequence[float]) -> list[float]:
    """Return `p_values` with Holm's correction for multiple tests."""
    return [rounded(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []
