import numpy as np
import pytest

from digits import ink
from digits.segmentation import Glyph, Reason, join, segment, slices


def boxes(grey: np.ndarray) -> list[tuple[int, int, int, int]]:
    return [(g.left, g.top, g.right, g.bottom) for g in segment(ink.find(grey.astype(np.float32))).glyphs]


def close(found: list[tuple[int, int, int, int]], expected: list[tuple[int, int, int, int]]) -> bool:
    """Return whether the boxes are equal up to one pixel."""
    return len(found) == len(expected) and bool(np.allclose(found, expected, atol=1))


def page(*rectangles: tuple[int, int, int, int], size: tuple[int, int] = (200, 400)) -> np.ndarray:
    """Return white paper with black rectangles (left, top, right, bottom)."""
    grey = np.ones(size, np.float32)
    for left, top, right, bottom in rectangles:
        grey[top:bottom, left:right] = 0
    return grey


def test_a_sloped_row_is_read_from_left_to_right() -> None:
    rising = [(30 + 60 * n, 120 - 15 * n, 40 + 60 * n, 160 - 15 * n) for n in range(6)]
    assert close(boxes(page(*rising[::-1])), rising)


def test_lines_are_read_from_top_to_bottom() -> None:
    lines = [(30, 20, 40, 60), (90, 25, 100, 65), (35, 120, 45, 160), (95, 125, 105, 165)]
    assert close(boxes(page(*lines)), lines)


def test_both_strokes_of_a_five_form_one_digit() -> None:
    body, hat = (100, 60, 130, 120), (108, 48, 145, 54)
    assert close(boxes(page(body, hat)), [(100, 48, 145, 120)])


def test_dust_and_ink_at_the_edge_are_ignored() -> None:
    digit, dust, frame = (100, 60, 115, 120), (300, 150, 303, 153), (380, 0, 400, 200)
    assert close(boxes(page(digit, dust, frame)), [digit])


def test_a_digit_that_fills_the_picture_may_touch_the_edge() -> None:
    assert len(boxes(page((10, 0, 16, 28), size=(28, 28)))) == 1


def test_a_digit_may_touch_the_edge_but_not_run_along_it() -> None:
    digits, at_edge = [(100, 60, 115, 120), (200, 150, 240, 200)], (0, 60, 8, 120)
    assert close(boxes(page(*digits, at_edge)), digits)


def test_all_digits_of_a_tight_crop_are_kept() -> None:
    digits = [(0, 5, 8, 60), (40, 0, 55, 50), (90, 8, 100, 52), (150, 2, 160, 56)]
    assert close(boxes(page(*digits, size=(60, 160))), digits)


def test_ink_that_is_left_out_has_a_reason() -> None:
    digit, small, frame, dust = (100, 60, 115, 120), (200, 100, 212, 112), (380, 0, 400, 200), (300, 150, 303, 153)
    found = segment(ink.find(page(digit, small, frame, dust)))
    assert len(found.glyphs) == 1
    assert [reason for _, reason in found.left_out] == [Reason.AT_EDGE, Reason.TOO_SMALL]
    assert close([box for box, _ in found.left_out], [frame, small])


@pytest.mark.parametrize("transposed", [False, True])
def test_ruled_lines_are_not_ink(transposed: bool) -> None:
    grey = page((100, 35, 112, 95), (200, 33, 212, 92), size=(300, 300))
    for row in range(20, 300, 40):
        grey[row : row + 2] = np.minimum(grey[row : row + 2], 0.3)
    grey = grey.T if transposed else grey
    found = boxes(grey)
    assert len(found) == 2
    for box in found:
        assert sorted((box[2] - box[0], box[3] - box[1])) == pytest.approx([12, 60], abs=4)


def test_joined_slices_are_the_glyph() -> None:
    mask = np.zeros((40, 70), bool)
    mask[:, 5:20] = mask[18:21, 5:60] = mask[:, 50:65] = True
    glyph = Glyph(3, 4, mask)
    pieces = slices(glyph)
    assert any(25 <= piece.right - glyph.left <= 45 for piece in pieces[:-1])  # cut at the thin part
    joined = join(pieces)
    assert (joined.left, joined.top) == (8, 4)
    assert np.array_equal(joined.mask, mask[:, 5:65])
    assert [piece.left for piece in pieces[1:]] == [piece.right for piece in pieces[:-1]]


def test_empty_paper_has_no_glyph() -> None:
    assert boxes(page()) == []
