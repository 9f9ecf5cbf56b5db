import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from digits import ink, normalise
from digits.images import load_image
from digits.interface import SIZE
from digits.segmentation import segment


def normalised(grey: np.ndarray) -> np.ndarray:
    """Return the only glyph in `grey` as the input of a model; zeros if there is none."""
    if (image := normalise.already_normalised(grey)) is not None:
        return image
    found = ink.find(grey)
    glyphs = segment(found).glyphs
    assert len(glyphs) <= 1
    return glyphs[0].normalised(found) if glyphs else np.zeros((SIZE, SIZE), np.float32)


def drawing(size: tuple[int, int], box: tuple[int, int, int, int], paper: int = 255, ink: int = 0) -> Image.Image:
    image = Image.new("L", size, paper)
    ImageDraw.Draw(image).rectangle(box, fill=ink)
    return image


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255), (200, 90)])
def test_a_digit_is_scaled_and_centred_for_dark_and_for_bright_ink(tmp_path: Path, paper: int, ink: int) -> None:
    drawing((300, 200), (20, 30, 69, 129), paper, ink).save(tmp_path / "1.png")  # 50 x 100 pixels, off centre
    found = normalised(load_image(tmp_path / "1.png"))
    assert found.shape == (28, 28)
    assert found.dtype == np.float32
    rows, columns = np.flatnonzero(found.max(axis=1) > 0.5), np.flatnonzero(found.max(axis=0) > 0.5)
    assert (rows[0], rows[-1]) == (4, 23)  # 20 pixels high
    assert (columns[0], columns[-1]) == (9, 18)
    assert found.max() == pytest.approx(1)


def test_an_image_in_the_form_of_mnist_is_unchanged() -> None:
    image = np.zeros((28, 28), np.float32)
    image[4:24, 12:15] = 1
    assert np.array_equal(normalised(image), image)
    assert np.array_equal(normalised(1 - image), image)


def test_a_small_digit_in_28x28_pixels_is_scaled() -> None:
    image = np.zeros((28, 28), np.float32)
    image[2:12, 3:5] = 1
    rows, _ = np.nonzero(normalised(image) > 0.5)
    assert (rows.min(), rows.max()) == (4, 23)


@pytest.mark.parametrize("grain", [0.0, 0.02])
def test_blank_paper_has_no_ink(grain: float) -> None:
    paper = 0.7 + grain * np.random.default_rng(0).standard_normal((100, 80))
    assert not normalised(paper.astype(np.float32)).any()


def seven(width: int = 20, size: tuple[int, int] = (400, 300)) -> np.ndarray:
    """Return a 7 in strokes of `width` pixels, dark on white, as grey values in [0, 1]."""
    image = Image.new("L", size, 255)
    ImageDraw.Draw(image).line([(100, 80), (200, 80), (140, 230)], fill=0, width=width, joint="curve")
    return np.asarray(image, np.float32) / 255


LIGHT = np.linspace(0.3, 1, 400, dtype=np.float32) * np.linspace(1, 0.7, 300, dtype=np.float32)[:, None]
GRAIN = 0.02 * np.random.default_rng(0).standard_normal((300, 400)).astype(np.float32)


def framed(image: np.ndarray) -> np.ndarray:
    """Return `image` with a black bar at the right edge and a speck of dust."""
    image = image.copy()
    image[:, 360:] = 0
    image[20:23, 300:303] = 0.3
    return image


@pytest.mark.parametrize(
    "picture",
    [
        seven() * LIGHT,  # the paper on one side is darker than the ink on the other
        0.5 + 0.1 * seven() + GRAIN,  # pencil on grainy paper
        1 - seven() * LIGHT,
        framed(seven()),
        seven(width=3),
        np.pad(seven(), ((0, 500), (900, 0)), mode="edge"),  # small, in a corner
        seven()[::2, ::2],
    ],
    ids=["shadow", "pale", "shadow on dark", "frame and dust", "thin pen", "corner", "small"],
)
def test_normalisation_is_robust_to_the_conditions_of_the_picture(picture: np.ndarray) -> None:
    expected, found = normalised(seven()), normalised(picture.clip(0, 1))
    assert 60 < expected.sum() < 150
    steps = itertools.product((-1, 0, 1), repeat=2)  # the centre of mass may be rounded to a neighbouring pixel
    correlation = max(np.corrcoef(expected.ravel(), np.roll(found, step, (0, 1)).ravel())[0, 1] for step in steps)
    assert correlation > 0.9
    assert 0.6 < found.sum() / expected.sum() < 1.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (3, 2), (10, 1000)])
def test_pictures_of_extreme_sizes_can_be_normalised(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(0).random(shape, np.float32)
    found = normalised(grey)
    assert found.shape == (28, 28)
    assert 0 <= found.min() <= found.max() <= 1


def test_normalisation_does_not_depend_on_rounding_errors_of_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last bits of OpenCV's distance transform vary from call to call."""
    masks = [cv2.GaussianBlur(np.random.default_rng(n).standard_normal((60, 50)), (0, 0), 4) > 0.05 for n in range(20)]
    before = [normalise.normalise(mask.astype(np.float32), mask) for mask in masks]
    rng, distances = np.random.default_rng(0), cv2.distanceTransform

    def perturbed(*arguments: object) -> np.ndarray:
        found = distances(*arguments)
        return found * (1 + 2e-7 * rng.standard_normal(found.shape, np.float32))

    monkeypatch.setattr(cv2, "distanceTransform", perturbed)
    for mask, image in zip(masks, before, strict=True):
        assert np.array_equal(normalise.normalise(mask.astype(np.float32), mask), image)
