import numpy as np

from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.params import Params
from pipeline.training.augmentation import augment_dataset


def test_originals_and_one_copy_of_each_are_shuffled_with_their_labels(
    digits: LabelledImages, settings: Params
) -> None:
    train, policy = digits.first(300), settings.augmentation["standard"]
    found = arrays.collected(*augment_dataset(train, policy, seed=0))
    assert len(found) == 600
    assert np.array_equal(np.bincount(found.labels), 2 * np.bincount(train.labels))
    label_of = {image.tobytes(): label for image, label in zip(train.images, train.labels, strict=True)}
    originals = [row for row, image in enumerate(found.images) if image.tobytes() in label_of]
    assert len(originals) == 300
    assert all(found.labels[row] == label_of[found.images[row].tobytes()] for row in originals)
    assert originals != list(range(300))
    # A copy is nearly always more similar to the mean of its own digit than to that of another.
    means = np.stack([train.images[train.labels == digit].mean(axis=0) for digit in range(10)])
    distances = ((found.images[:, None].astype(float) - means) ** 2).sum(axis=(2, 3))
    assert (distances.argmin(axis=1) == found.labels).mean() > 0.6
    more = arrays.collected(*augment_dataset(train, policy, seed=0, copies=3))
    assert np.array_equal(np.bincount(more.labels), 4 * np.bincount(train.labels))
    assert sum(image.tobytes() in label_of for image in more.images) == 300
    again = arrays.collected(*augment_dataset(train, policy, seed=0))
    assert np.array_equal(found.images, again.images)
    assert np.array_equal(found.labels, again.labels)
