import numpy as np
import pytest
import torch
from torch import nn

from pipeline import train_ood
from pipeline.datasets.arrays import LabelledImages


@pytest.mark.parametrize("change", [train_ood.corrupt, train_ood.move])
def test_images_are_changed_and_stay_uint8(digits: LabelledImages, change) -> None:
    torch.manual_seed(0)
    images = digits.images[: train_ood.BATCH + 5]
    before = images.copy()
    found = change(images)
    assert np.array_equal(images, before)
    assert found.shape == images.shape
    assert found.dtype == np.uint8
    assert (found != images).any(axis=(1, 2)).mean() > 0.5


def test_digits_that_cannot_be_restored_are_left_out(digits: LabelledImages) -> None:
    torch.manual_seed(0)
    found = train_ood.restored(nn.Identity(), digits, 300)
    assert 20 < len(found) < 280  # slightly corrupted ones remain
    assert set(found.labels.tolist()) == set(range(10))
