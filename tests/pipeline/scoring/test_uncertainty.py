import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.scoring import uncertainty


def test_wilson_of_a_published_example() -> None:
    """Newcombe, Two-sided confidence intervals for the single proportion (1998), table I: 0.2553 to 0.3662."""
    assert uncertainty.interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize("correct", [0, 9_975, 10_000])
def test_wilson_is_that_of_scipy(correct: int) -> None:
    expected = binomtest(correct, 10_000).proportion_ci(method="wilson")
    assert uncertainty.interval(correct, 10_000) == pytest.approx(tuple(expected), abs=1e-6)


def test_discordant_pairs_are_counted() -> None:
    first, second = np.array([True, True, False, True, False]), np.array([True, False, True, False, False])
    assert uncertainty.discordant(first, second) == (2, 1)
    assert uncertainty.discordant(second, first) == (1, 2)


def test_mcnemar_of_a_published_example() -> None:
    """Agresti, Categorical Data Analysis (2nd ed., 2002), section 10.1: 150 and 86 changed their minds, z = -4.17."""
    assert uncertainty.p_value(150, 86) == pytest.approx(3.7e-5, rel=0.05)
    assert uncertainty.p_value(86, 150) == uncertainty.p_value(150, 86)


def test_mcnemar_by_hand() -> None:
    assert uncertainty.p_value(1, 7) == pytest.approx(2 * (1 + 8) / 2**8)  # 0 or 1 of 8 coins, and the other side
    assert uncertainty.p_value(4, 4) == 1
    assert uncertainty.p_value(0, 0) == 1


def test_each_model_is_tested_against_the_first() -> None:
    first = np.arange(20) < 10
    worse, similar = np.zeros(20, bool), np.arange(20) < 2  # 10 and 8 images less
    names = ("only_first_correct", "only_this_correct", "mcnemar_p_holm")
    assert uncertainty.against_first([first, similar, worse, ~first]) == [
        dict.fromkeys(names),
        dict(zip(names, (8, 0, round(2 * 2 / 2**8, 6)), strict=True)),  # times 2, as the second smallest
        dict(zip(names, (10, 0, round(3 * 2 / 2**10, 6)), strict=True)),
        dict(zip(names, (10, 10, 1), strict=True)),
    ]
    assert uncertainty.against_first([first]) == [dict.fromkeys(names)]


def test_holm_by_hand() -> None:
    """The smallest is multiplied by three, the next by two, the last by one, and none is below the one before."""
    assert uncertainty.corrected([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])
    assert uncertainty.corrected([0.9, 0.8]) == [1, 1]
    assert uncertainty.corrected([]) == []
