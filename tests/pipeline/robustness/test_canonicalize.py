import numpy as np
import pytest
import torch

from pipeline.datasets import records
from pipeline.datasets.resizing import resize
from pipeline.robustness.canonicalize import Canonicalizer, canonicalize
from pipeline.robustness.corruptions import corrupt

CANONICALIZER = Canonicalizer().eval()


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


def test_images_like_mnist_are_unchanged_bit_for_bit(mnist_like: np.ndarray) -> None:
    assert np.array_equal(canonicalize(mnist_like), mnist_like)


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
def test_some_corruptions_are_undone_up_to_rounding(
    mnist_like: np.ndarray, name: str, severity: int, most: int
) -> None:
    corrupted = corrupt(name, mnist_like, severity, 1)
    assert np.abs(corrupted.astype(int) - mnist_like).max() > 100
    assert np.abs(canonicalize(corrupted).astype(int) - mnist_like).max() <= most


@pytest.mark.parametrize("name", ["brightness", "blur", "gaussian_noise", "impulse_noise", "fog", "spatter", "scale"])
def test_other_corruptions_are_reduced(mnist_like: np.ndarray, name: str) -> None:
    corrupted = corrupt(name, mnist_like, 3, 1)
    before, after = (
        np.abs(images.astype(float) - mnist_like).mean() for images in (corrupted, canonicalize(corrupted))
    )
    assert after < 0.75 * before


def test_large_digits_become_as_large_as_in_mnist() -> None:
    whole = resize(records.get("digits").bundled()["train_images"][:100])
    assert (whole[:, 0] > 100).any(axis=1).mean() > 0.9
    assert (canonicalize(whole)[:, 0] > 100).any(axis=1).mean() < 0.5


def test_black_stays_black_and_all_outputs_are_in_range(random_images: np.ndarray) -> None:
    with torch.no_grad():
        for images in (torch.zeros(1, 1, 28, 28), torch.ones(1, 1, 28, 28), torch.from_numpy(random_images)):
            found = CANONICALIZER(images)
            assert found.isfinite().all()
            assert found.min() >= 0
            assert found.max() <= 1 + 1e-6
    assert CANONICALIZER(torch.zeros(1, 1, 28, 28)).max() == 0


def test_images_of_a_batch_are_independent(mnist_like: np.ndarray) -> None:
    corrupted = np.concatenate([corrupt(name, mnist_like[:5], 2, 1) for name in ("fog", "shift", "blur")])
    assert np.array_equal(
        canonicalize(corrupted), np.concatenate([canonicalize(corrupted[row : row + 1]) for row in range(15)])
    )
