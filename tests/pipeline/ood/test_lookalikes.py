import numpy as np
import pytest

from pipeline.datasets.arrays import LabelledImages
from pipeline.ood import outliers
from pipeline.ood.lookalikes import QUANTILE, Lookalikes


@pytest.fixture(scope="module")
def resemble(digits: LabelledImages) -> Lookalikes:
    return Lookalikes(digits.images[:1200], digits.images[1200:])


def test_most_other_digits_resemble_digits(resemble: Lookalikes, digits: LabelledImages) -> None:
    assert resemble(digits.images[1200:]).mean() == pytest.approx(QUANTILE, abs=0.005)
    assert resemble(digits.images[:1200]).all()


def test_a_digit_is_at_no_distance_from_itself(resemble: Lookalikes, digits: LabelledImages) -> None:
    assert np.abs(resemble.distances(digits.images[:50])).max() < 1e-4


def test_few_outliers_resemble_digits(resemble: Lookalikes, digits: LabelledImages) -> None:
    drawn = outliers.generate(300, digits.images, digits.labels, seed=3)
    assert 0 < resemble(drawn).mean() < 0.3
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    assert not resemble(noise).any()
    assert not resemble(np.zeros((1, 28, 28), np.uint8)).any()
