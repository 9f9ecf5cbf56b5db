import numpy as np
import pytest
import torch

from pipeline.datasets import records
from pipeline.datasets.resizing import resize
from pipeline.robustness.canonicalize import TIDY, tidied
from pipeline.robustness.corruptions import corrupt


@pytest.fixture(scope="module")
def mnist_like() -> np.ndarray:
    """Return 300 digits of MNIST's form: sharp, 20x20 at most, centre of mass in the middle of 28x28."""
    small = resize(records.get("digits").bundled()["train_images"][:300], 60)
    sharp = resize((small > 110).astype(np.uint8) * 255, 20)
    found = np.zeros((300, 28, 28), np.uint8)
    for image, digit in zip(found, sharp, strict=True):
        rows, columns = (np.round(13.5 - digit.sum(axis) @ np.arange(20) / digit.sum()).astype(int) for axis in (1, 0))
        image[rows : rows + 20, columns : columns + 20] = digit
    return found


def test_what_looks_like_mnist_stays_bit_for_bit(mnist_like: np.ndarray) -> None:
    assert np.array_equal(tidied(mnist_like), mnist_like)


@pytest.mark.parametrize(
    ("name", "severity", "most"),
    [
        ("shift", 1, 0),
        ("stripe", 3, 0),
        ("inverted", 1, 0),
        ("inverted", 3, 1),
        ("contrast", 1, 4),
        ("contrast", 3, 10),
    ],
)
def test_gives_back_what_was_spoilt_but_for_rounding(
    mnist_like: np.ndarray, name: str, severity: int, most: int
) -> None:
    spoilt = corrupt(name, mnist_like, severity, 1)
    assert np.abs(spoilt.astype(int) - mnist_like).max() > 100
    assert np.abs(tidied(spoilt).astype(int) - mnist_like).max() <= most


@pytest.mark.parametrize("name", ["brightness", "blur", "gaussian_noise", "impulse_noise", "fog", "spatter", "scale"])
def test_brings_nearer_what_cannot_be_given_back(mnist_like: np.ndarray, name: str) -> None:
    spoilt = corrupt(name, mnist_like, 3, 1)
    before, after = (np.abs(images.astype(float) - mnist_like).mean() for images in (spoilt, tidied(spoilt)))
    assert after < 0.75 * before


def test_large_digits_become_as_large_as_mnists() -> None:
    whole = resize(records.get("digits").bundled()["train_images"][:100])
    assert (whole[:, 0] > 100).any(axis=1).mean() > 0.9
    assert (tidied(whole)[:, 0] > 100).any(axis=1).mean() < 0.5


def test_nothing_stays_nothing_and_everything_stays_in_range(random_images: np.ndarray) -> None:
    with torch.no_grad():
        for images in (torch.zeros(1, 1, 28, 28), torch.ones(1, 1, 28, 28), torch.from_numpy(random_images)):
            found = TIDY(images)
            assert found.isfinite().all()
            assert found.min() >= 0
            assert found.max() <= 1 + 1e-6
    assert TIDY(torch.zeros(1, 1, 28, 28)).max() == 0


def test_each_image_is_tidied_by_itself(mnist_like: np.ndarray) -> None:
    spoilt = np.concatenate([corrupt(name, mnist_like[:5], 2, 1) for name in ("fog", "shift", "blur")])
    assert np.array_equal(tidied(spoilt), np.concatenate([tidied(spoilt[row : row + 1]) for row in range(15)]))
