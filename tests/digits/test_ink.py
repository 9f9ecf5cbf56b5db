import cv2
import numpy as np
import pytest

from digits import ink


def test_lines_are_found_and_strokes_that_cross_them_are_kept() -> None:
    mask, stroke = np.zeros((2, 200, 300), np.uint8)
    cv2.line(stroke, (150, 30), (120, 170), 1, 12)
    for row in (60, 100, 140):
        cv2.line(mask, (0, row), (299, row + 8), 1, 2)  # falls by 1.5 degrees
    found = ink.find_lines((mask | stroke).astype(bool), 4)
    assert not (found & stroke.astype(bool)).any()
    assert found.sum() > 0.95 * (mask & ~stroke).sum()


@pytest.mark.parametrize("thickness", [1, 4])
def test_frames_are_found_with_their_inner_lines(thickness: int) -> None:
    mask, strokes = np.zeros((2, 200, 400), np.uint8)
    for left in (50, 130, 210):
        cv2.rectangle(mask, (left, 40), (left + 80, 140), 1, thickness)
        cv2.line(strokes, (left + 30, 60), (left + 50, 120), 1, 8)
    found = ink.find_frames((mask | strokes).astype(bool))
    assert np.array_equal(found, mask.astype(bool))


def test_a_zero_around_a_dot_is_not_a_frame() -> None:
    mask = np.zeros((200, 200), np.uint8)
    cv2.ellipse(mask, (100, 100), (50, 80), 0, 0, 360, 1, 8)
    cv2.circle(mask, (100, 100), 10, 1, -1)
    assert not ink.find_frames(mask.astype(bool)).any()


@pytest.mark.parametrize("inverted", [False, True])
def test_wide_strokes_at_the_edge_are_ink_on_uniform_paper(inverted: bool) -> None:
    grey = np.full((40, 30), 0.8, np.float32)
    grey[:, 12:26] = 0.2
    found = ink.find_on_uniform_paper(1 - grey if inverted else grey)
    assert np.array_equal(found.mask, grey < 0.5)
    assert found.amount[found.mask] == pytest.approx(0.6)
    assert not found.amount[~found.mask].any()
    assert np.array_equal(found.inverted().mask, grey > 0.5)


def test_constant_pictures_have_no_ink_on_uniform_paper() -> None:
    assert not ink.find_on_uniform_paper(np.full((9, 9), 0.3, np.float32)).mask.any()


def test_uniform_paper_may_be_lit_from_one_side() -> None:
    light = np.linspace(0.9, 0.5, 60, dtype=np.float32) * np.ones((80, 1), np.float32)
    mask = np.zeros((80, 60), bool)
    mask[:, 20:35] = True
    assert ink.is_uniform(light - 0.3 * mask, mask)
    assert not ink.is_uniform(light - 0.01 * mask, light < 0.7)  # the gradient is halved


def test_a_picture_of_lines_alone_has_no_ink() -> None:
    grey = np.full((1000, 1300), 0.9, np.float32)
    for top in range(2, 986, 17):
        grey[top : top + 14, 3::4] = 0.1
    assert not ink.find(grey).mask.any()
