import numpy as np

from pipeline.datasets.arrays import LabelledImages
from pipeline.ood import outliers


def test_outliers_have_the_form_of_digits_and_differ(digits: LabelledImages) -> None:
    found = outliers.generate(140, digits.images, digits.labels, seed=1)
    assert found.shape == (140, 28, 28)
    assert found.dtype == np.uint8
    assert (found.reshape(140, -1).max(axis=1) > 200).all()
    assert len(np.unique(found.reshape(140, -1), axis=0)) == 140


def test_outliers_depend_on_the_seed_only(digits: LabelledImages) -> None:
    one, again, other = (outliers.generate(21, digits.images, digits.labels, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
