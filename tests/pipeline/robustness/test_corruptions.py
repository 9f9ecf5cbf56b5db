import hashlib

import numpy as np
import pytest

from pipeline.datasets.arrays import LabelledImages
from pipeline.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupt


@pytest.fixture(scope="module")
def images(digits: LabelledImages) -> np.ndarray:
    return digits.images[:20]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_severity_changes_more_than_the_one_before(name: str, images: np.ndarray) -> None:
    corrupted = [corrupt(name, images, severity, seed=1) for severity in SEVERITIES]
    assert all(found.shape == images.shape and found.dtype == np.uint8 for found in corrupted)
    if name not in ("fog", "spatter", "inverted"):  # their severities differ in other ways
        changes = [np.abs(found.astype(float) - images).mean() for found in corrupted]
        assert 0 < changes[0] < changes[1] < changes[2]


def test_the_bytes_are_the_same_on_every_machine(images: np.ndarray) -> None:
    everything = b"".join(
        corrupt(name, images, severity, 42).tobytes() for name in CORRUPTIONS for severity in SEVERITIES
    )
    assert hashlib.sha256(everything).hexdigest() == "ca4f1b50069aac3964be02a1a62c0a8eb064d7831666e94613ca33162a27d275"


def test_random_numbers_depend_on_name_severity_and_seed(images: np.ndarray) -> None:
    noise = corrupt("gaussian_noise", images, 1, 1)
    assert np.array_equal(noise, corrupt("gaussian_noise", images, 1, 1))
    assert not np.array_equal(noise, corrupt("gaussian_noise", images, 1, 2))
    flat = np.full_like(images, 128)
    drawn = [corrupt("impulse_noise", flat, severity, 1) == 255 for severity in SEVERITIES]
    assert not (drawn[0] <= drawn[1]).all()


def test_corruptions_by_hand(images: np.ndarray) -> None:
    assert np.array_equal(corrupt("inverted", images, 1, 1), 255 - images)
    assert np.array_equal(corrupt("stripe", images, 3, 1)[:, :, :7], 255 - images[:, :, :7])
    assert np.array_equal(corrupt("stripe", images, 3, 1)[:, :, 7:21], images[:, :, 7:21])
    brighter = corrupt("brightness", images, 1, 1)
    assert np.abs(brighter - np.minimum(images + 0.3 * 255, 255)).max() <= 0.5
    dot = np.zeros((40, 28, 28), np.uint8)
    dot[:, 14, 14] = 255
    places = {tuple(np.argwhere(image)[0]) for image in corrupt("shift", dot, 3, 1)}
    assert places == {(9, 9), (9, 19), (19, 9), (19, 19)}
    assert corrupt("missing", np.zeros((1, 28, 28), np.uint8), 3, 1).max() == 0


def test_strokes_get_thinner_and_thicker() -> None:
    stroke = np.zeros((1, 28, 28), np.uint8)
    stroke[:, 4:24, 12:16] = 255
    for name, widths in (("thin", (2.8, 2.0, 1.4)), ("thick", (5, 6, 7))):
        for severity, width in zip(SEVERITIES, widths, strict=True):
            found = corrupt(name, stroke, severity, 1)[0, 14].sum() / 255
            assert found == pytest.approx(width, abs=0.5), (name, severity)


def test_fog_is_as_rough_as_that_of_mnist_c() -> None:
    """The plasma fractal of MNIST-C varies by 0.041 to 0.056 within an image, and by 0.19 to 0.21 between images."""
    black = np.zeros((200, 28, 28))
    for level, strength in enumerate((2, 2.5, 3)):
        cloud = CORRUPTIONS["fog"](black, level, np.random.default_rng(0)) * (1 + strength) / strength
        assert 0.035 < cloud.std(axis=(1, 2)).mean() < 0.07
        assert 0.12 < cloud.mean(axis=(1, 2)).std() < 0.25
