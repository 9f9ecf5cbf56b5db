"""Which ink belongs together: one piece of writing into its digits, in the order of reading."""

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.imaging.ink import Ink
from pipeline.imaging.normalise import box, normalise

SMALLEST = 0.02  # longer side of a digit at least, in lengths of the picture's longer side
TOUCHING = 0.05  # weight of ink that touches the picture's edge: a frame, a shadow, another page
DUST = 0.03  # weight below which a part is no digit of its own, in weights of the heaviest
SHORT = 0.4  # height of a digit at least, in heights of the tallest
THINNEST = 0.12  # width of a slice of a digit at least, in heights
MOST_CUTS = 11  # of one piece of ink
MOST = 200  # parts that are looked at, the heaviest
NEAR = 0.25  # distance of a small part from its digit at most, in heights of the digit


@dataclass
class Part:
    """Ink that belongs together: labels of connected pieces, the box around them (right and bottom just outside), the
    amount of ink, and whether it touches the edge of the picture.
    """

    pieces: list[int]
    left: int
    top: int
    right: int
    bottom: int
    weight: float
    touches: bool

    @property
    def height(self) -> int:
        """Return the height of the box in pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Return the width of the box in pixels."""
        return self.right - self.left

    def take(self, other: "Part") -> None:
        """Make `other` belong to this."""
        self.pieces += other.pieces
        self.left, self.top = min(self.left, other.left), min(self.top, other.top)
        self.right, self.bottom = max(self.right, other.right), max(self.bottom, other.bottom)
        self.weight += other.weight


@dataclass(frozen=True)
class Glyph:
    """What may be a digit: where its box begins in the picture, and which pixels of the box are its own, bool."""

    left: int
    top: int
    mask: np.ndarray

    @property
    def right(self) -> int:
        """Return the column just outside."""
        return self.left + self.mask.shape[1]

    @property
    def bottom(self) -> int:
        """Return the row just outside."""
        return self.top + self.mask.shape[0]

    def normalised(self, ink: Ink) -> np.ndarray:
        """Return it as a model reads it, (28, 28) float32 in [0, 1]."""
        return normalise(ink.amount[self.top : self.bottom, self.left : self.right], self.mask)


def segment(ink: Ink) -> list[Glyph]:
    """Return what may be a digit, in the order of reading."""
    labels, parts = _pieces(ink)
    glyphs = []
    for part in _in_order(_digits(parts, max(ink.mask.shape))):
        place = np.s_[part.top : part.bottom, part.left : part.right]
        glyphs.append(Glyph(part.left, part.top, ink.mask[place] & np.isin(labels[place], part.pieces)))
    return glyphs


def join(glyphs: list[Glyph]) -> Glyph:
    """Return one glyph of several, without what is empty around it."""
    left, top = min(glyph.left for glyph in glyphs), min(glyph.top for glyph in glyphs)
    mask = np.zeros((max(g.bottom for g in glyphs) - top, max(g.right for g in glyphs) - left), bool)
    for glyph in glyphs:
        mask[glyph.top - top : glyph.bottom - top, glyph.left - left : glyph.right - left] |= glyph.mask
    rows, columns = box(mask)
    return Glyph(left + columns[0], top + rows[0], mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def slices(glyph: Glyph) -> list[Glyph]:
    """Return `glyph` cut from top to bottom wherever it is thin, from left to right: what digits that touch each other
    may be made of. Put together again they are `glyph`.
    """
    height, width = glyph.mask.shape
    ink = cv2.GaussianBlur(glyph.mask.sum(axis=0, dtype=np.float32)[None], (0, 0), 0.03 * height + 0.3)[0]
    least = max(1, round(THINNEST * height))
    cuts: list[int] = []
    for column in np.argsort(ink, kind="stable"):
        thin = ink[column] <= ink[max(column - least, 0) : column + least + 1].min() + 1e-6
        if thin and all(abs(column - cut) >= least for cut in (0, width, *cuts)) and len(cuts) < MOST_CUTS:
            cuts.append(int(column))
    edges = [0, *sorted(cuts), width]
    return [Glyph(glyph.left + start, glyph.top, glyph.mask[:, start:end]) for start, end in itertools.pairwise(edges)]


def _pieces(ink: Ink) -> tuple[np.ndarray, list[Part]]:
    """Return the number of each pixel's connected piece, and all pieces."""
    height, width = ink.mask.shape
    mask = ink.mask.astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_GRANA)
    weights = np.bincount(labels[ink.mask], ink.amount[ink.mask], minlength=count)
    parts = []
    for number in range(1, count):
        left, top, across, down = (int(value) for value in boxes[number, :4])
        touches = left == 0 or top == 0 or left + across == width or top + down == height
        parts.append(Part([number], left, top, left + across, top + down, float(weights[number]), touches))
    return labels, parts


def _digits(parts: list[Part], side: int) -> list[Part]:
    """Return the digits that `parts` make up; `side` is the picture's longer side in pixels."""
    parts = [part for part in parts if max(part.height, part.width) >= max(3, SMALLEST * side / 2)]
    inside = [part for part in parts if not part.touches]
    outside = max((part.weight for part in parts if part.touches), default=0.0)
    if sum(part.weight for part in inside) >= TOUCHING * outside:
        parts = inside
    if not parts or max(max(part.height, part.width) for part in parts) < max(3, SMALLEST * side):
        return []
    heaviest = max(part.weight for part in parts)
    parts = sorted((part for part in parts if part.weight > 0.3 * DUST * heaviest), key=lambda part: -part.weight)[
        :MOST
    ]
    digits: list[Part] = []
    for part in parts:
        home = min((digit for digit in digits if _together(digit, part)), key=lambda d: _apart(d, part), default=None)
        if home:
            home.take(part)
        else:
            digits.append(part)
    tallest = max(digit.height for digit in digits if digit.weight > 0.3 * heaviest)
    return [d for d in digits if d.weight > DUST * heaviest and d.height >= SHORT * tallest]


def _apart(one: Part, other: Part) -> int:
    """Return the distance between two boxes in pixels, the greater of across and down; negative where they overlap."""
    across = max(one.left - other.right, other.left - one.right)
    down = max(one.top - other.bottom, other.top - one.bottom)
    return max(across, down)


def _together(digit: Part, part: Part) -> bool:
    """Return whether `part`, the lighter one, belongs to `digit`."""
    size = max(digit.height, digit.width, part.height)
    if _apart(digit, part) > NEAR * size:
        return False
    shared = min(digit.right, part.right) - max(digit.left, part.left)
    above = shared >= 0.5 * min(digit.width, part.width)
    whole = max(digit.bottom, part.bottom) - min(digit.top, part.top)
    if above:
        return whole <= 3 * max(digit.width, part.width) or part.height < 0.5 * digit.height
    return part.height < 0.5 * digit.height and part.weight < 0.3 * digit.weight


def _in_order(digits: list[Part]) -> list[Part]:
    """Return `digits` line by line, each from left to right; a line may rise or fall."""
    lines: list[list[Part]] = []
    for digit in sorted(digits, key=lambda part: part.left + part.right):
        for line in lines:
            last = line[-1]
            if min(last.bottom, digit.bottom) - max(last.top, digit.top) > 0.3 * min(last.height, digit.height):
                line.append(digit)
                break
        else:
            lines.append([digit])
    return [digit for line in sorted(lines, key=lambda line: line[0].top) for digit in line]
