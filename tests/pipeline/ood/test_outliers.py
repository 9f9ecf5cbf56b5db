import numpy as np

from pipeline.datasets.arrays import LabelledImages
from pipeline.ood import outliers


def test_draws_what_a_model_could_see(digits: LabelledImages) -> None:
    drawn = nondigits.draw(140, digits.images, digits.labels, seed=1)
    assert drawn.shape == (140, 28, 28)
    assert drawn.dtype == np.uint8
    assert (drawn.reshape(140, -1).max(axis=1) > 200).all()
    assert len(np.unique(drawn.reshape(140, -1), axis=0)) == 140


def test_the_same_seed_the_same_pictures(digits: LabelledImages) -> None:
    one, again, other = (nondigits.draw(21, digits.images, digits.labels, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
