import numpy as np

from pipeline import explore
from pipeline.datasets.arrays import LabelledImages


def test_nearest_neighbours_in_the_embedding_are_the_same_digit(digits: LabelledImages) -> None:
    points = explore.embed(digits.images[:300], seed=0)
    assert points.shape == (300, 2)
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = digits.labels[:300][distances.argmin(axis=1)]
    assert (nearest == digits.labels[:300]).mean() > 0.85


def test_statistics_of_duplicated_images(digits: LabelledImages) -> None:
    twice = LabelledImages(np.repeat(digits.images[:50], 2, axis=0), np.repeat(digits.labels[:50], 2))
    found = explore.describe(twice, {"title": "t"})
    assert found["title"] == "t"
    assert found["identical_images"] == 50
    assert found["background_fraction"] == round(float((twice.images == 0).mean()), 4)
    assert len(found["ink_fraction_per_digit"]) == 10
