import numpy as np
import torch

from pipeline import params
from pipeline.datasets.arrays import LabelledImages
from pipeline.training.augmentation import enlarge


def test_originals_and_copies_shuffled_with_their_labels(digits: LabelledImages) -> None:
    train, settings = digits.first(300), params.load().augmentation.model_copy(update={"copies": 2})
    found = enlarge(train, settings, torch.Generator().manual_seed(0))
    assert len(found) == 900
    assert np.array_equal(np.bincount(found.labels), 3 * np.bincount(train.labels))
    label_of = {image.tobytes(): label for image, label in zip(train.images, train.labels, strict=True)}
    originals = [row for row, image in enumerate(found.images) if image.tobytes() in label_of]
    assert len(originals) == 300
    assert all(found.labels[row] == label_of[found.images[row].tobytes()] for row in originals)
    assert originals != list(range(300))
    # A copy still looks more like its own digit than like the mean of another, nearly always.
    means = np.stack([train.images[train.labels == digit].mean(axis=0) for digit in range(10)])
    distances = ((found.images[:, None].astype(float) - means) ** 2).sum(axis=(2, 3))
    assert (distances.argmin(axis=1) == found.labels).mean() > 0.7
    again = enlarge(train, settings, torch.Generator().manual_seed(0))
    assert np.array_equal(found.images, again.images)
