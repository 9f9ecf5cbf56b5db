"""Segment ink into digits, in reading order."""

import itertools
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import cv2
import numpy as np

from digits.ink import Ink, components
from digits.normalise import bounding_box, normalise

MIN_SIDE = 0.02  # smallest longer side of a digit, relative to the longer side of the picture
MIN_INNER_WEIGHT = 0.05  # smallest weight of the ink inside, relative to a part at the edge (frame, shadow, other page)
MIN_WEIGHT = 0.03  # smallest weight of a digit, relative to the heaviest part
MIN_HEIGHT = 0.4  # smallest height of a digit, relative to the tallest digit
MIN_HEIGHT_IN_ROW = 0.8  # smallest height of the tallest digit inside a tight crop, relative to a 1 at its edge
MIN_SLICE_WIDTH = 0.12  # relative to the height of the glyph
MAX_CUTS = 11  # per glyph
MAX_COMPONENTS = 2_000  # the heaviest connected components are examined; bounds the work
MAX_PARTS = 200  # the heaviest of these parts may be digits; bounds the work
MAX_SIDE_TO_NORMALISE = 160  # longer side in pixels to which larger glyphs are reduced first; bounds the work
MAX_GAP = 0.25  # largest distance of a small part from its digit, relative to the size of the digit

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are exclusive


@dataclass
class Part:
    """One or several connected components of ink.

    Attributes:
        labels: of the connected components.
        left: first column of the bounding box.
        top: first row of the bounding box.
        right: column after the bounding box.
        bottom: row after the bounding box.
        weight: sum of the amount of ink.
        reach: how far the part reaches into the picture from the edges that it touches, in pixels; infinite if none.
    """

    labels: list[int]
    left: int
    top: int
    right: int
    bottom: int
    weight: float
    reach: float

    @property
    def height(self) -> int:
        """Return the height of the bounding box in pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Return the width of the bounding box in pixels."""
        return self.right - self.left

    @property
    def box(self) -> Box:
        """Return the bounding box."""
        return self.left, self.top, self.right, self.bottom

    @property
    def region(self) -> tuple[slice, slice]:
        """Return the bounding box as an index of the picture."""
        return np.s_[self.top : self.bottom, self.left : self.right]

    def merge(self, other: "Part") -> None:
        """Add the ink of `other` to this part."""
        self.labels += other.labels
        self.left, self.top = min(self.left, other.left), min(self.top, other.top)
        self.right, self.bottom = max(self.right, other.right), max(self.bottom, other.bottom)
        self.weight += other.weight


@dataclass(frozen=True)
class Glyph:
    """Ink that may be a digit.

    Attributes:
        left: first column of the bounding box.
        top: first row of the bounding box.
        mask: (height, width) bool, the pixels of the bounding box that belong to the glyph.
    """

    left: int
    top: int
    mask: np.ndarray

    @property
    def right(self) -> int:
        """Return the column after the bounding box."""
        return self.left + self.mask.shape[1]

    @property
    def bottom(self) -> int:
        """Return the row after the bounding box."""
        return self.top + self.mask.shape[0]

    @property
    def box(self) -> Box:
        """Return the bounding box."""
        return self.left, self.top, self.right, self.bottom

    def normalised(self, ink: Ink, width: float = 1.0) -> np.ndarray:
        """Return the glyph, its width scaled by `width`, as the input of a model, (28, 28) float32 in [0, 1]."""
        amount, mask = ink.amount[self.top : self.bottom, self.left : self.right], self.mask
        factor = min(1.0, MAX_SIDE_TO_NORMALISE / max(mask.shape))
        if factor < 1 or width != 1:
            size = (max(1, round(factor * width * mask.shape[1])), max(1, round(factor * len(mask))))
            amount = cv2.resize(amount * mask, size, None, 0, 0, cv2.INTER_AREA)
            coverage = cv2.resize(mask.astype(np.float32), size, None, 0, 0, cv2.INTER_AREA)
            mask = coverage > 0.5 * coverage.max()
        return normalise(amount, mask)


class Reason(StrEnum):
    """Why ink is not read."""

    NOT_A_DIGIT = "not a digit"
    TOO_SMALL = "too small"
    AT_EDGE = "touches the edge of the picture"
    TEXTURE = "too little of the ink is digits"
    TOO_MANY = "too many parts"


class Segments(NamedTuple):
    """The ink of a picture, segmented.

    Attributes:
        glyphs: that may be digits, in reading order.
        left_out: boxes (left, top, right, bottom) of the other ink, except dust and printed lines, with the reason.
    """

    glyphs: list[Glyph]
    left_out: list[tuple[Box, Reason]]


def segment(ink: Ink) -> Segments:
    """Segment `ink` into glyphs."""
    labels, parts, left_out = _components(ink)
    digits, more_left_out = _group(parts, ink.mask.shape)
    digits = _reading_order(digits)
    owner = np.zeros(int(labels.max()) + 1, np.int16)  # of each component: the number of its digit, from 1 on
    for number, digit in enumerate(digits, 1):
        owner[digit.labels] = number
    masks = [owner[labels[digit.region]] == number for number, digit in enumerate(digits, 1)]
    glyphs = [Glyph(digit.left, digit.top, mask) for digit, mask in zip(digits, masks, strict=True)]
    return Segments(glyphs, left_out + more_left_out)


def join(glyphs: list[Glyph]) -> Glyph:
    """Return the union of `glyphs`, cropped to its bounding box."""
    left, top = min(glyph.left for glyph in glyphs), min(glyph.top for glyph in glyphs)
    mask = np.zeros((max(g.bottom for g in glyphs) - top, max(g.right for g in glyphs) - left), bool)
    for glyph in glyphs:
        mask[glyph.top - top : glyph.bottom - top, glyph.left - left : glyph.right - left] |= glyph.mask
    rows, columns = bounding_box(mask)
    return Glyph(left + columns[0], top + rows[0], mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def slices(glyph: Glyph) -> list[Glyph]:
    """Cut `glyph` vertically wherever it is thin: the pieces, from left to right, of which touching digits may consist.

    `join` of all slices is `glyph`.
    """
    height, width = glyph.mask.shape
    ink = cv2.GaussianBlur(glyph.mask.sum(axis=0, dtype=np.float32)[None], (0, 0), 0.03 * height + 0.3)[0]
    min_width = max(1, round(MIN_SLICE_WIDTH * height))
    cuts: list[int] = []
    for column in np.argsort(ink, kind="stable"):
        thin = ink[column] <= ink[max(column - min_width, 0) : column + min_width + 1].min() + 1e-6
        if thin and all(abs(column - cut) >= min_width for cut in (0, width, *cuts)) and len(cuts) < MAX_CUTS:
            cuts.append(int(column))
    edges = [0, *sorted(cuts), width]
    return [Glyph(glyph.left + start, glyph.top, glyph.mask[:, start:end]) for start, end in itertools.pairwise(edges)]


def _components(ink: Ink) -> tuple[np.ndarray, list[Part], list[tuple[Box, Reason]]]:
    """Return the label of each pixel's connected component, the components except dust, and what is left out."""
    height, width = ink.mask.shape
    labels, boxes = components(ink.mask)
    weights = np.bincount(labels[ink.mask], ink.amount[ink.mask], minlength=len(boxes) + 1)
    large = np.flatnonzero(boxes[:, 2:].max(axis=1, initial=0) >= max(3, MIN_SIDE * max(height, width) / 2))
    left_out = []
    if len(large) > MAX_COMPONENTS:
        order = np.argsort(-weights[large + 1], kind="stable")
        left, top, across, down = boxes[large[order[MAX_COMPONENTS:]]].T
        box = int(left.min()), int(top.min()), int((left + across).max()), int((top + down).max())
        left_out = [(box, Reason.TOO_MANY)]
        large = np.sort(large[order[:MAX_COMPONENTS]])
    parts = []
    for index in large.tolist():
        left, top, across, down = boxes[index].tolist()
        reach = across if left == 0 or left + across == width else math.inf
        reach = min(reach, down) if top == 0 or top + down == height else reach
        parts.append(Part([index + 1], left, top, left + across, top + down, float(weights[index + 1]), reach))
    return labels, parts, left_out


def _group(parts: list[Part], shape: tuple[int, ...]) -> tuple[list[Part], list[tuple[Box, Reason]]]:
    """Return the digits that `parts` form, and the boxes of the parts that are left out, except dust.

    Args:
        parts: connected components.
        shape: height and width of the picture in pixels.
    """
    min_side = max(3, MIN_SIDE * max(shape))
    parts, at_edge = _without_edge(parts, shape)
    left_out = [(part.box, Reason.AT_EDGE) for part in at_edge]
    if not parts or max(max(part.height, part.width) for part in parts) < min_side:
        return [], left_out
    parts = sorted(parts, key=lambda part: -part.weight)
    heaviest = parts[0].weight
    digits: list[Part] = []
    for part in parts[:MAX_PARTS]:
        if part.weight <= 0.3 * MIN_WEIGHT * heaviest:
            break
        near = (digit for digit in digits if _belongs(part, digit))
        nearest = min(near, key=lambda digit: _distance(digit, part), default=None)
        if nearest:
            nearest.merge(part)
        else:
            digits.append(part)
    tallest = max(digit.height for digit in digits if digit.weight > 0.3 * heaviest)

    def is_large(part: Part) -> bool:
        return part.weight > MIN_WEIGHT * heaviest and part.height >= MIN_HEIGHT * tallest

    small = [part for part in digits if not is_large(part) and max(part.height, part.width) >= min_side]
    left_out += [(part.box, Reason.TOO_SMALL) for part in small]
    if beyond := list(filter(is_large, parts[MAX_PARTS:])):
        left_out.append((_box_around(beyond), Reason.TOO_MANY))
    return list(filter(is_large, digits)), left_out


def _box_around(parts: list[Part]) -> Box:
    """Return the bounding box of all `parts`."""
    left, top = min(part.left for part in parts), min(part.top for part in parts)
    return left, top, max(part.right for part in parts), max(part.bottom for part in parts)


def _without_edge(parts: list[Part], shape: tuple[int, ...]) -> tuple[list[Part], list[Part]]:
    """Return `parts` without frames, shadows and other pages at the edge of the picture, and these.

    A part at the edge may be a digit if it is about as high as the parts inside and does not run along the edge. In a
    tight crop, whose ink touches all four edges, it may run along the edge. Without any ink inside, all may be digits.
    """
    inside = [part for part in parts if math.isinf(part.reach)]
    outside = max((part.weight for part in parts if math.isfinite(part.reach)), default=0.0)
    if sum(part.weight for part in inside) < MIN_INNER_WEIGHT * outside:
        return parts, []
    tallest = max((part.height for part in inside), default=0)
    tight = (0, 0, *shape) == (
        min((part.top for part in parts), default=0),
        min((part.left for part in parts), default=0),
        max((part.bottom for part in parts), default=0),
        max((part.right for part in parts), default=0),
    )

    def fits(part: Part) -> bool:
        as_high = MIN_HEIGHT * tallest <= part.height <= tallest / MIN_HEIGHT
        along = part.reach < MIN_HEIGHT * tallest
        is_stroke = tight and part.height <= tallest / MIN_HEIGHT_IN_ROW
        return math.isinf(part.reach) or (as_high and (is_stroke if along or part.width == shape[1] else True))

    return [part for part in parts if fits(part)], [part for part in parts if not fits(part)]


def _distance(one: Part, other: Part) -> int:
    """Return the larger of the horizontal and vertical gaps between two boxes in pixels; negative if they overlap."""
    across = max(one.left - other.right, other.left - one.right)
    down = max(one.top - other.bottom, other.top - one.bottom)
    return max(across, down)


def _belongs(part: Part, digit: Part) -> bool:
    """Return whether `part`, the lighter one, belongs to `digit`."""
    size = max(digit.height, digit.width, part.height)
    if _distance(digit, part) > MAX_GAP * size:
        return False
    overlap = min(digit.right, part.right) - max(digit.left, part.left)
    if overlap >= 0.5 * min(digit.width, part.width):  # one above the other
        height = max(digit.bottom, part.bottom) - min(digit.top, part.top)
        return height <= 3 * max(digit.width, part.width) or part.height < 0.5 * digit.height
    return part.height < 0.5 * digit.height and part.weight < 0.3 * digit.weight


def _reading_order(digits: list[Part]) -> list[Part]:
    """Return `digits` line by line, each line from left to right; lines may be sloped."""
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
