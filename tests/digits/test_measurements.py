import cv2
import numpy as np
import pytest

from digits import measurements
from digits.measurements import size, slant, stroke_width


def stroke(width: float, lean: float = 0.0, brightness: int = 255) -> np.ndarray:
    """Return one image (1, 28, 28) of a straight stroke with soft edges, `width` pixels wide, 20 high, its top `lean`
    degrees to the right.
    """
    y, x = np.indices((280, 280)) / 10 - 13.95
    along = np.abs(x * np.cos(np.radians(lean)) + y * np.sin(np.radians(lean))) <= width / 2
    ink = (along & (np.abs(y) <= 10)).reshape(28, 10, 28, 10).mean(axis=(1, 3))
    return (ink * brightness).round().astype(np.uint8)[None]


@pytest.mark.parametrize("width", [2.0, 3.0, 4.5])
def test_stroke_width_does_not_depend_on_brightness(width: float) -> None:
    # The outline includes both ends of the stroke.
    expected = 2 * width * 20 / (40 + 2 * width)
    assert stroke_width(stroke(width)) == pytest.approx(expected, rel=0.1)
    assert stroke_width(stroke(width, brightness=100)) == pytest.approx(stroke_width(stroke(width)), rel=0.02)


@pytest.mark.parametrize("lean", [-30.0, -5.0, 0.0, 10.0, 40.0])
def test_slant_is_in_degrees(lean: float) -> None:
    assert slant(stroke(3, lean)) == pytest.approx(lean, abs=1)


def test_slant_equals_that_of_opencv_moments(images: np.ndarray) -> None:
    moments = [cv2.moments(image) for image in images[:1500]]
    expected = [np.degrees(np.arctan2(-moment["mu11"], moment["mu02"])) for moment in moments]
    assert slant(images[:1500]) == pytest.approx(np.array(expected), abs=1e-6)


def test_size_equals_that_of_opencv_bounding_boxes(images: np.ndarray) -> None:
    boxes = [cv2.boundingRect((image >= 128).astype(np.uint8)) for image in images[:300]]
    assert size(images[:300]).tolist() == [width * height for _, _, width, height in boxes]


@pytest.mark.parametrize("measure", measurements.MEASUREMENTS.values())
def test_images_without_ink_and_empty_arrays_give_zeros(measure) -> None:
    assert measure(np.zeros((2, 28, 28), np.uint8)).tolist() == [0, 0]
    assert measure(np.zeros((0, 28, 28), np.uint8)).shape == (0,)


def test_thirds_divide_images_into_three_parts_of_equal_number_except_for_ties(images: np.ndarray) -> None:
    for name, bounds in measurements.thirds(images).items():
        values = measurements.MEASUREMENTS[name](images)
        for share, bound in zip((1 / 3, 2 / 3), bounds, strict=True):
            assert (values < bound - 0.01).mean() <= share <= (values <= bound + 0.01).mean(), name
