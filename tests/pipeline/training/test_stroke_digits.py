import numpy as np
import pytest
from scipy import ndimage

from digits.model import Classifier
from pipeline.datasets.arrays import LabelledImages
from pipeline.training import stroke_digits
from pipeline.training.stroke_digits import VARIANTS

NAMES = [(digit, name) for digit, variants in VARIANTS.items() for name in variants]
UNUSUAL = {(0, "slashed"), (1, "long upstroke")}  # MNIST has next to none


def draw(digit: int, name: str, count: int) -> np.ndarray:
    rngs = [np.random.default_rng([3, number]) for number in range(count)]
    return np.array([stroke_digits.draw(VARIANTS[digit][name](rng), rng) for rng in rngs])


def test_digits_come_in_turn_and_depend_on_the_seed_only() -> None:
    one, fewer, other = (stroke_digits.generate(count, seed) for count, seed in ((60, 1), (25, 1), (60, 2)))
    assert one.images.shape == (60, 28, 28)
    assert np.array_equal(one.labels, np.arange(60) % 10)
    assert np.array_equal(one.images[:25], fewer.images)
    assert not np.array_equal(one.images, other.images)
    assert len(np.unique(one.images.reshape(60, -1), axis=0)) == 60


def test_digits_are_like_those_of_mnist_in_size_and_place() -> None:
    images = stroke_digits.generate(200, seed=1).images
    assert 0.1 < images.mean() / 255 < 0.18  # MNIST: 0.13
    normalised = 0
    for image in images:
        rows, columns = (np.flatnonzero((image > 64).any(axis=axis)) for axis in (1, 0))
        centred = np.abs(np.subtract(ndimage.center_of_mass(image), 13.5)).max() < 1.5
        normalised += 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22 and centred
    assert normalised / len(images) >= 1 - stroke_digits.SCALED_DOWN - 0.05  # the others are scaled down


@pytest.mark.parametrize(("digit", "name"), NAMES)
def test_the_shipped_model_reads_the_ordinary_variants(shipped: Classifier, digit: int, name: str) -> None:
    probabilities, _ = shipped.infer(np.divide(draw(digit, name, 40)[:, None], 255, dtype=np.float32))
    assert (probabilities.argmax(axis=1) == digit).mean() > (0.5 if (digit, name) in UNUSUAL else 0.9)


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return Classifier.load()


@pytest.mark.parametrize(
    ("digit", "name", "holes"), [(0, "plain", 1), (0, "slashed", 2), (2, "looped", 1), (7, "plain", 0)]
)
def test_variants_have_their_loops(digit: int, name: str, holes: int) -> None:
    """Counts the areas that ink encloses; thick strokes may close a small loop."""
    found = []
    for number in range(30):
        rng = np.random.default_rng(number)
        picture = stroke_digits.strokes.draw(VARIANTS[digit][name](rng), 0.04)
        found.append(ndimage.label(picture < 128)[1] - 1)
    assert np.median(found) == holes


def test_a_fraction_of_the_images_is_added_after_them(digits: LabelledImages) -> None:
    found = stroke_digits.add(digits, 0.1, seed=3)
    assert len(found) == len(digits) + round(0.1 * len(digits))
    assert np.array_equal(found.images[: len(digits)], digits.images)
    assert np.array_equal(found.images[len(digits) :], stroke_digits.generate(round(0.1 * len(digits)), 3).images)
    assert stroke_digits.add(digits, 0.0, seed=3) is digits
