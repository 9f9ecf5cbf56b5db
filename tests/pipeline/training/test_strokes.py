import numpy as np
import pytest

from pipeline.training import strokes

CROSS = [np.array([[0.0, 5], [10, 5]]), np.array([[5.0, 0], [5, 10]])]


def test_a_spline_passes_through_its_points() -> None:
    points = np.array([[0.0, 0], [1, 2], [3, 1], [4, 4]])
    curve = strokes.spline(points)
    assert curve.shape == (25, 2)
    assert np.allclose(curve[::8], points)
    assert np.abs(np.diff(curve, axis=0)).max() < 0.6


def test_a_spline_through_points_on_a_line_is_that_line() -> None:
    curve = strokes.spline(np.array([[0.0, 0], [1, 2], [2, 4]]))
    assert np.allclose(curve[:, 1], 2 * curve[:, 0])


def test_an_arc_begins_and_ends_where_it_should() -> None:
    half = strokes.arc((1, 1), (2, 3), 0, np.pi)
    assert np.allclose(half[[0, -1]], [[3, 1], [-1, 1]])
    assert np.allclose(half[:, 1].max(), 4, atol=0.1)  # y points down: clockwise passes the bottom


def test_resampling_keeps_the_corners_and_fills_the_gaps() -> None:
    corner = np.array([[0.0, 0], [1, 0], [1, 1]])
    found = strokes.resample(corner, 0.1)
    assert (np.hypot(*np.diff(found, axis=0).T) <= 0.1 + 1e-9).all()
    assert all((np.abs(found - point).max(axis=1) < 1e-9).any() for point in corner)


def test_deformation_keeps_the_strokes_and_changes_their_shape() -> None:
    one, again, other = (strokes.deform(CROSS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(one) == 2
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.allclose(one[0][0], other[0][0])
    low, high = strokes.bounds(one)
    assert 0.6 < (high - low).max() < 1.8


def test_without_deformation_a_drawing_is_only_scaled() -> None:
    rng = np.random.default_rng(0)
    found = strokes.deform(CROSS, rng, rotation=0, shear=0, aspect=0, bend=0, ends=0)
    assert np.allclose(found[0][[0, -1]], [[-0.5, 0], [0.5, 0]])
    assert np.allclose(found[1][[0, -1]], [[0, -0.5], [0, 0.5]])


def test_a_drawing_fills_the_box_with_strokes_of_the_given_width() -> None:
    picture = strokes.draw(CROSS, 0.1)
    assert picture.shape == (strokes.CANVAS, strokes.CANVAS)
    assert picture.dtype == np.uint8
    rows = np.flatnonzero((picture > 127).any(axis=1))
    assert abs(len(rows) - strokes.BOX * 1.1) <= 3
    assert abs(int((picture[rows[5]] > 127).sum()) - strokes.BOX * 0.1) <= 3


def test_pressure_changes_the_width_along_a_stroke() -> None:
    line = [strokes.resample(np.array([[0.0, 0], [0, 1]]))]
    even = strokes.draw(line, 0.12)
    varied = strokes.draw(line, 0.12, np.random.default_rng(0), pressure=0.5)
    assert np.ptp((even > 127).sum(axis=1)[20:60]) <= 1
    assert np.ptp((varied > 127).sum(axis=1)[20:60]) >= 3


def test_normalised_and_reduced_pictures_are_28_pixels_wide() -> None:
    picture = strokes.draw(CROSS, 0.15)
    for found in (strokes.normalised(picture), strokes.reduced(picture)):
        assert found.shape == (28, 28)
        assert found.dtype == np.uint8
        assert found.max() == 255
    assert (strokes.reduced(np.full((84, 84), 90, np.uint8)) == 90).all()


@pytest.mark.parametrize(
    ("value", "expected"), [(-1, 0), (0.5 / 255, 1), (0.5 / 255 - 1e-9, 1), (0.49 / 255, 0), (2, 255)]
)
def test_rounding_does_not_depend_on_the_last_bits(value: float, expected: int) -> None:
    assert strokes.to_uint8(np.array([value])) == expected
