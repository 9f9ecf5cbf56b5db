"""Recognise the digits in a picture, in reading order.

    classifier = Classifier.load()
    digits = recognise_digits(classifier, load_image("photo.png"))
    text = "".join(str(digit.digit) for digit in digits)

The picture is segmented at a small size first, and at larger sizes only if some glyph is too small or not clearly one
digit. Such a glyph is then split if its parts are accepted with more confidence than the whole.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from digits import ink, segmentation
from digits.ink import Ink
from digits.model import Classifier
from digits.normalise import already_normalised
from digits.segmentation import Glyph

SCALES = (
    320,
    640,
    1280,
)  # longer side in pixels at which the picture is segmented, in turn, until all glyphs are clear
MIN_HEIGHT = 40  # smallest height in pixels, at that scale, of a single digit that needs no larger scale
MAX_HEIGHT = 120  # height in pixels from which no glyph needs a larger scale
MAX_UNCLEAR = 40  # pictures with more unclear glyphs are text; nothing is split
MAX_SINGLE_WIDTH = 0.95  # relative to its height; a wider glyph may be several digits
MAX_PART_WIDTH = 1.3  # largest width of one digit in a glyph, relative to the height of the glyph
MIN_PART_INK = 0.02  # smallest area of one digit in a glyph, relative to the squared height of the glyph
MIN_SPLIT_CONFIDENCE = 0.75  # smallest joint confidence, per pair of digits, at which a glyph is split
MIN_INK_SHARE = 0.4  # smallest share of the ink that must be digits; with less, the picture is a texture

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Digit:
    """A recognised digit.

    Attributes:
        digit: from 0 to 9.
        probability: of that digit, in [0, 1].
        probabilities: of the ten digits.
        box: left, top, right, bottom in pixels of the picture; right and bottom are exclusive.
        image: (28, 28) float32 in [0, 1], the input of the model.
    """

    digit: int
    probability: float
    probabilities: list[float]
    box: Box
    image: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Return everything except the image, ready for JSON; probabilities are rounded to four decimals."""
        return {
            "digit": self.digit,
            "probability": round(self.probability, 4),
            "probabilities": [round(probability, 4) for probability in self.probabilities],
            "box": list(self.box),
        }


@dataclass(frozen=True)
class Candidate:
    """A classified glyph.

    Attributes:
        glyph: where it is in the picture.
        image: (28, 28) float32 in [0, 1], the input of the model.
        probabilities: (10,) of the ten digits.
        confidence: probability of the predicted digit times digitness, in [0, 1]; 0 if the model rejects the image.
    """

    glyph: Glyph
    image: np.ndarray
    probabilities: np.ndarray
    confidence: float


def recognise_digits(classifier: Classifier, grey: np.ndarray) -> list[Digit]:
    """Return the digits in a picture, line by line, each line from left to right; an empty list if there are none.

    Args:
        classifier: the model.
        grey: (height, width) float32 in [0, 1], dark ink on bright paper or the reverse.
    """
    if (image := already_normalised(grey)) is not None:
        whole = Glyph(0, 0, np.ones(grey.shape, bool))
        return _accepted_digits(classify(classifier, [whole], [image]), grey.shape, grey.shape)
    for side in SCALES:
        small = _shrink(grey, min(1.0, side / max(grey.shape)))
        found = ink.find(small)
        candidates = _classify_glyphs(classifier, found, segmentation.segment(found))
        if small is grey or (candidates and all(map(_is_clear, candidates))):
            break
    return _accepted_digits(_split_unclear(classifier, found, candidates), small.shape, grey.shape)


def classify(classifier: Classifier, glyphs: Sequence[Glyph], images: Sequence[np.ndarray]) -> list[Candidate]:
    """Classify `glyphs`, given as `images`, (28, 28) float32 in [0, 1] each."""
    if not glyphs:
        return []
    probabilities, digitness = classifier.infer(np.stack(images)[:, None])
    accepted = classifier.accept(probabilities, digitness)
    confidence = np.where(accepted, probabilities.max(axis=1) * digitness, 0).tolist()
    return list(map(Candidate, glyphs, images, probabilities, confidence))


def _classify_glyphs(classifier: Classifier, found: Ink, glyphs: Sequence[Glyph]) -> list[Candidate]:
    """Normalise and classify `glyphs` of the ink `found`."""
    return classify(classifier, glyphs, [glyph.normalised(found) for glyph in glyphs])


def _shrink(grey: np.ndarray, factor: float) -> np.ndarray:
    """Scale the sides of `grey` by `factor`, at most 1. Halves the picture first while possible, which is faster."""
    if factor == 1:
        return grey
    size = [max(1, round(side * factor)) for side in grey.shape]
    while min(side // 2 - goal for side, goal in zip(grey.shape, size, strict=True)) >= 0:
        grey = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), None, 0, 0, cv2.INTER_AREA)
    return cv2.resize(grey, (size[1], size[0]), None, 0, 0, cv2.INTER_AREA)


def _is_clear(candidate: Candidate) -> bool:
    """Return whether a larger scale would not help: a single digit that is large enough, or a very large glyph."""
    return candidate.glyph.mask.shape[0] >= (MIN_HEIGHT if _is_single(candidate) else MAX_HEIGHT)


def _is_single(candidate: Candidate) -> bool:
    """Return whether the candidate is accepted and too narrow to be several digits."""
    height, width = candidate.glyph.mask.shape
    return candidate.confidence > 0 and width <= MAX_SINGLE_WIDTH * height


def _split_unclear(classifier: Classifier, found: Ink, candidates: list[Candidate]) -> list[Candidate]:
    """Return `candidates` with touching digits split. All parts are classified in one call."""
    unclear = [candidate.glyph for candidate in candidates if not _is_single(candidate)]
    if len(unclear) > MAX_UNCLEAR:
        return candidates
    spans = {id(glyph): _spans(glyph) for glyph in unclear}
    classified = iter(_classify_glyphs(classifier, found, [part for each in spans.values() for part in each.values()]))
    parts = {glyph: {span: next(classified) for span in each} for glyph, each in spans.items()}
    return [part for candidate in candidates for part in _best_split(candidate, parts.get(id(candidate.glyph), {}))]


def _spans(glyph: Glyph) -> dict[tuple[int, int], Glyph]:
    """Return the parts of `glyph` that may be digits, by their first column and the column after their last."""
    pieces, height = segmentation.slices(glyph), len(glyph.mask)
    spans = {}
    for start, end in itertools.combinations(range(len(pieces) + 1), 2):
        first, last = pieces[start], pieces[end - 1]
        if last.right - first.left <= MAX_PART_WIDTH * height:
            span = pieces[start:end]
            if sum(int(piece.mask.sum()) for piece in span) >= MIN_PART_INK * height**2:
                spans[first.left - glyph.left, last.right - glyph.left] = segmentation.join(span)
    return spans


def _best_split(whole: Candidate, parts: dict[tuple[int, int], Candidate]) -> list[Candidate]:
    """Return the sequence of `parts` that covers `whole` with the largest product of confidences, by dynamic
    programming; or only `whole`, if that has more confidence.

    Args:
        whole: the glyph.
        parts: its parts by their first column and the column after their last.
    """
    best: dict[int, tuple[float, list[Candidate]]] = {0: (1.0, [])}  # by column: best product and parts up to there
    for (start, end), part in sorted(parts.items(), key=lambda item: item[0][1]):
        product, digits = best.get(start, (0.0, []))
        if product * part.confidence > best.get(end, (0.0, []))[0]:
            best[end] = (product * part.confidence, [*digits, part])
    product, digits = best.get(whole.glyph.mask.shape[1], (0.0, []))
    # The exponent makes products of more than two digits comparable with those of two.
    if not digits or product ** (2 / len(digits)) <= max(whole.confidence, MIN_SPLIT_CONFIDENCE):
        return [whole]
    only_ones = all(digit.probabilities.argmax() == 1 for digit in digits)  # more likely an M or a fence
    return [whole] if only_ones else digits


def _accepted_digits(candidates: list[Candidate], small: tuple[int, ...], full: tuple[int, ...]) -> list[Digit]:
    """Return the accepted candidates as digits, or none if they are too small a share of the ink.

    Args:
        candidates: with boxes in the picture of shape `small`.
        small: shape at which the picture was segmented.
        full: shape of the picture, to which the boxes are scaled.
    """
    weights = [int(candidate.glyph.mask.sum()) for candidate in candidates]
    accepted = sum(weight for weight, candidate in zip(weights, candidates, strict=True) if candidate.confidence)
    if accepted < MIN_INK_SHARE * sum(weights):
        return []
    down, across = full[0] / small[0], full[1] / small[1]
    digits = []
    for candidate in candidates:
        if candidate.confidence:
            glyph, row = candidate.glyph, candidate.probabilities
            sides = (glyph.left * across, glyph.top * down, glyph.right * across, glyph.bottom * down)
            left, top, right, bottom = (round(side) for side in sides)
            box = (left, top, right, bottom)
            digits.append(Digit(int(row.argmax()), float(row.max()), row.tolist(), box, candidate.image))
    return digits
