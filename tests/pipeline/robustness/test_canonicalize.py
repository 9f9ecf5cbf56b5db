import numpy as np
import pytest
import torch
from torch import nn

from pipeline.datasets import records
from pipeline.datasets.resizing import resize
from pipeline.robustness.canonicalize import Canonicalizer, centre_and_scale


class Fake(nn.Module):
    """A denoiser that makes every image black, and takes those for corrupted whose first pixel is bright."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full_like(images, -100.0), images[:, :, 0, 0]


@pytest.fixture(scope="module")
def mnist_like() -> np.ndarray:
    """Return 300 digits in the form of MNIST: sharp, 20x20 at most, centre of mass in the middle of 28x28."""
    small = resize(records.get("digits").bundled()["train_images"][:300], 60)
    sharp = resize((small > 110).astype(np.uint8) * 255, 20)
    found = np.zeros((300, 28, 28), np.uint8)
    for image, digit in zip(found, sharp, strict=True):
        rows, columns = (np.round(13.5 - digit.sum(axis) @ np.arange(20) / digit.sum()).astype(int) for axis in (1, 0))
        image[rows : rows + 20, columns : columns + 20] = digit
    return found


def test_images_like_mnist_are_neither_moved_nor_scaled(mnist_like: np.ndarray) -> None:
    assert np.array_equal(centre_and_scale(mnist_like), mnist_like)


def test_digits_off_centre_are_moved_back(mnist_like: np.ndarray) -> None:
    moved = np.roll(mnist_like, (3, -4), (1, 2))
    assert np.abs(moved.astype(int) - mnist_like).mean() > 10
    inside = (mnist_like[:, -4:].max(axis=(1, 2)) == 0) & (mnist_like[:, :, :5].max(axis=(1, 2)) == 0)
    found = centre_and_scale(moved)[inside].astype(int)
    assert inside.sum() > 100
    nearest = np.array([
        min(np.abs(np.roll(image, (down, right), (0, 1)) - wanted).max() for down in (-1, 0, 1) for right in (-1, 0, 1))
        for image, wanted in zip(found, mnist_like[inside].astype(int), strict=True)
    ])  # fmt: skip
    assert (nearest == 0).mean() > 0.95


def test_large_digits_become_as_large_as_in_mnist() -> None:
    whole = resize(records.get("digits").bundled()["train_images"][:100])
    assert (whole[:, 0] > 100).any(axis=1).mean() > 0.9
    assert (centre_and_scale(whole)[:, 0] > 100).any(axis=1).mean() < 0.5


def test_images_of_a_batch_are_independent(mnist_like: np.ndarray) -> None:
    moved = np.roll(mnist_like[:15], 3, 1)
    single = np.concatenate([centre_and_scale(moved[row : row + 1]) for row in range(15)])
    assert np.array_equal(centre_and_scale(moved), single)


def test_only_images_that_count_as_corrupted_are_replaced(mnist_like: np.ndarray) -> None:
    images = torch.from_numpy(mnist_like[:6, None] / np.float32(255))
    images[:3, 0, 0, 0] = 0.9
    with torch.no_grad():
        found = Canonicalizer(Fake(), threshold=0.5).eval()(images)
    assert found[:3].max() == 0
    assert torch.equal(found[3:], images[3:])
