"""Outliers made of digits: mirrored and turned digits, parts of digits, two digits at once, and digits crossed out.

Each function takes digits (28, 28) uint8 by class, and returns a picture of any size, uint8.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from digits.interface import SIZE
from pipeline.training.strokes import FRACTION, fixed_point

# Digits that are no longer digits when changed in this way.
MIRRORED = (3, 4, 6, 7, 9)
QUARTER_TURN = (2, 3, 4, 5, 7)  # rotated by 90 degrees
HALF_TURN = (3, 4, 7)
TOP_HALF = (0, 4, 5)
BOTTOM_HALF = (0, 2, 3, 5)

Generator = np.random.Generator
ByDigit = Sequence[np.ndarray]  # ten arrays (n, 28, 28) uint8


def _pick(by_digit: ByDigit, digits: Sequence[int], rng: Generator) -> np.ndarray:
    found = by_digit[digits[int(rng.integers(len(digits)))]]
    return found[rng.integers(len(found))]


def turned(by_digit: ByDigit, rng: Generator) -> np.ndarray:
    """Return a mirrored digit, or one rotated by 90 or 180 degrees."""
    kind = rng.integers(3)
    if kind == 0:
        return np.fliplr(_pick(by_digit, MIRRORED, rng))
    if kind == 1:
        return np.rot90(_pick(by_digit, QUARTER_TURN, rng), rng.choice([1, 3]))
    return np.rot90(_pick(by_digit, HALF_TURN, rng), 2)


def half(by_digit: ByDigit, rng: Generator) -> np.ndarray:
    """Return the upper or the lower half of a digit, cut along a slightly slanted line."""
    upper = rng.random() < 0.5
    digit = _pick(by_digit, TOP_HALF if upper else BOTTOM_HALF, rng)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    below = (y if upper else -y) + rng.uniform(-0.25, 0.25) * x
    return np.where(below < rng.uniform(-3, -0.5), digit, 0).astype(np.uint8)


def two(by_digit: ByDigit, rng: Generator) -> np.ndarray:
    """Return two digits side by side, one above the other, or overlapping."""
    kind = rng.integers(5)
    if kind <= 2:
        one, other = (_cropped(_pick(by_digit, range(10), rng)) for _ in range(2))
        height = max(len(one), len(other))
        gap = np.zeros((height, rng.integers(1, 4)), np.uint8)
        one, other = (np.pad(each, ((height - len(each), 0), (0, 0))) for each in (one, other))
        return np.hstack([one, gap, other])
    if kind == 3:
        one, other = (_cropped(_pick(by_digit, range(10), rng)) for _ in range(2))
        width = max(one.shape[1], other.shape[1])
        one, other = (np.pad(each, ((0, 1), (0, width - each.shape[1]))) for each in (one, other))
        return np.vstack([one, other])
    digits = rng.permutation(np.arange(2, 10))[:2]  # 1 over 0 or 7 could be a slashed 0 or a crossed 7
    one, other = (_pick(by_digit, (int(digit),), rng) for digit in digits)
    return np.maximum(one, np.roll(other, rng.choice([-6, -5, -4, 4, 5, 6]), axis=rng.choice([1, 1, 0])))


def crossed_out(by_digit: ByDigit, rng: Generator) -> np.ndarray:
    """Return a digit with a cross or a dense zigzag over it."""
    digit = _pick(by_digit, range(10), rng).copy()
    if rng.random() < 0.5:
        corners = np.array([[4, 4], [23, 23], [23, 4], [4, 23]]) + rng.uniform(-2, 2, (4, 2))
        lines = [corners[:2], corners[2:]]
    else:
        count = int(rng.integers(5, 9))
        x = np.where(np.arange(count) % 2, 24, 3) + rng.uniform(-2, 2, count)
        lines = [np.stack([x, np.linspace(3, 24, count)], axis=1)]
    cv2.polylines(digit, [fixed_point(each) for each in lines], False, 255, 2, cv2.LINE_AA, FRACTION)
    return digit


def _cropped(digit: np.ndarray) -> np.ndarray:
    ink = digit > 64
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return digit
    return digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
