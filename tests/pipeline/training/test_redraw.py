import numpy as np

from pipeline.datasets.arrays import LabelledImages
from pipeline.training.redraw import redraw


def test_a_fraction_of_the_digits_is_drawn_anew(digits: LabelledImages) -> None:
    found = redraw(digits, 0.1, seed=1)
    assert len(found) == round(0.1 * len(digits))
    assert set(found.labels.tolist()) == set(range(10))
    assert np.array_equal(redraw(digits, 0.1, seed=1).images, found.images)
    assert not np.array_equal(redraw(digits, 0.1, seed=2).images, found.images)


def test_redrawn_digits_resemble_the_originals_in_other_stroke_widths(digits: LabelledImages) -> None:
    some = digits.first(200)
    rows = np.random.default_rng(3).choice(200, 200, replace=False)  # the order in which `redraw` takes all
    found = redraw(some, 1.0, seed=3)
    assert np.array_equal(found.labels, some.labels[rows])
    originals = some.images[rows].reshape(200, -1).astype(float)
    drawn = found.images.reshape(200, -1).astype(float)
    related = [np.corrcoef(one, other)[0, 1] for one, other in zip(originals, drawn, strict=True)]
    assert np.median(related) > 0.5
    ratio = drawn.sum(axis=1) / originals.sum(axis=1)
    assert (ratio < 0.8).sum() > 20
    assert (ratio > 1.1).sum() > 20
