"""Reading the digits in a picture, left to right: where they are, what they are, and how sure the model is.

classifier = Classifier.load("models/best")
digits = read(classifier, pictures.read(Path("photo.jpg")))
text = "".join(str(digit.digit) for digit in digits)
"""

import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pipeline.artifact import Classifier
from pipeline.imaging import ink, normalise, segment
from pipeline.imaging.ink import Ink
from pipeline.imaging.segment import Glyph

LOOKS = (320, 640, 1280)  # pixels to which the longer side is shrunk, in turn, until all that is found is plain digits
LEGIBLE = 40  # height of a plain digit at least, in pixels of the picture as it was looked at
LARGE = 120  # height from which a closer look shows nothing new, in the same pixels
UNCLEAR = 40  # glyphs that may have to be cut apart at most; more are a text
WIDE = 0.95  # width from which a glyph may be several digits, in its heights
WIDEST = 1.3  # width of one digit at most, in heights of the glyph
LIGHTEST = 0.02  # ink of a digit at least, in squares of its height
DOUBTFUL, SURE = 0.3, 0.95  # where the gate is below the one, the model must reach the other
LEAST = 0.75  # how sure two digits must be together to be read in place of one
PART = 0.4  # of the ink at least must be digits, or it is a texture in which anything can be seen

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Digit:
    """One digit of a picture.

    Attributes:
        digit: from 0 to 9.
        probability: of that digit, in [0, 1].
        probabilities: of all ten digits.
        box: left, top, right, bottom in pixels of the picture; right and bottom are just outside.
        image: (28, 28) float32 in [0, 1], what the model saw.
    """

    digit: int
    probability: float
    probabilities: list[float]
    box: Box
    image: np.ndarray

    def facts(self) -> dict[str, Any]:
        """Return all but the image, ready for JSON."""
        return {
            "digit": self.digit,
            "probability": round(self.probability, 4),
            "probabilities": [round(probability, 4) for probability in self.probabilities],
            "box": list(self.box),
        }


@dataclass(frozen=True)
class Seen:
    """A glyph, and what the model says of it.

    Attributes:
        image: (28, 28) float32 in [0, 1].
        probabilities: (10,) of the digits.
        confidence: how sure it is that the glyph is one digit, in [0, 1]; 0 for what is not accepted as one.
    """

    glyph: Glyph
    image: np.ndarray
    probabilities: np.ndarray
    confidence: float


def read(classifier: Classifier, grey: np.ndarray) -> list[Digit]:
    """Return the digits in `grey`, (height, width) float32 in [0, 1], line by line; none where there is none.

    A glance at the picture made small is enough for plain digits. What does not look like one digit is cut apart if
    that gives several; what then looks like none is left out.
    """
    if (image := normalise.as_it_is(grey)) is not None:
        whole = Glyph(0, 0, np.ones(grey.shape, bool))
        return _digits(judge(classifier, [whole], [image]), grey.shape, grey.shape)
    for longest in LOOKS:
        small = _smaller(grey, min(1.0, longest / max(grey.shape)))
        found = ink.find(small)
        seen = look(classifier, found, segment.segment(found))
        if small is grey or (seen and all(map(_plain, seen))):
            break
    return _digits(_mended(classifier, found, seen), small.shape, grey.shape)


def look(classifier: Classifier, found: Ink, glyphs: list[Glyph]) -> list[Seen]:
    """Return what the model says of each of the `glyphs` in the ink `found`."""
    return judge(classifier, glyphs, [glyph.normalised(found) for glyph in glyphs])


def judge(classifier: Classifier, glyphs: list[Glyph], images: list[np.ndarray]) -> list[Seen]:
    """Return what the model says of each of the `glyphs`, given as images (28, 28)."""
    if not glyphs:
        return []
    probabilities, digitness = classifier.judge(np.stack(images)[:, None])
    sure = np.where(accepted(classifier, probabilities, digitness), probabilities.max(axis=1) * digitness, 0)
    return [Seen(*one) for one in zip(glyphs, images, probabilities, sure.tolist(), strict=True)]


def accepted(classifier: Classifier, probabilities: np.ndarray, digitness: np.ndarray) -> np.ndarray:
    """Return which images are read, (n,) bool: those that the gate lets pass, if the model is sure where the gate is in
    doubt.
    """
    sure = (digitness >= DOUBTFUL) | (probabilities.max(axis=1) >= SURE)
    return np.asarray((digitness >= classifier.threshold) & sure)


def _smaller(grey: np.ndarray, factor: float) -> np.ndarray:
    """Return `grey` with its sides multiplied by `factor`, at most 1; halved first, which is fast."""
    if factor == 1:
        return grey
    size = [max(1, round(side * factor)) for side in grey.shape]
    while min(side // 2 - goal for side, goal in zip(grey.shape, size, strict=True)) >= 0:
        grey = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), None, 0, 0, cv2.INTER_AREA)
    return cv2.resize(grey, (size[1], size[0]), None, 0, 0, cv2.INTER_AREA)


def _plain(one: Seen) -> bool:
    """Return whether `one` is accepted as one digit and large enough, or is so large that it is seen well anyway."""
    return one.glyph.mask.shape[0] >= (LEGIBLE if _single(one) else LARGE)


def _single(one: Seen) -> bool:
    """Return whether `one` is accepted, and not so wide that it may be several digits."""
    height, width = one.glyph.mask.shape
    return one.confidence > 0 and width <= WIDE * height


def _mended(classifier: Classifier, found: Ink, seen: list[Seen]) -> list[Seen]:
    """Return `seen`, with what is rather several digits than one cut apart."""
    unclear = [one.glyph for one in seen if not _single(one)]
    if len(unclear) > UNCLEAR:
        return seen
    spans = {id(glyph): _spans(glyph) for glyph in unclear}
    judged = iter(look(classifier, found, [span for each in spans.values() for span in each.values()]))
    parts = {glyph: {place: next(judged) for place in each} for glyph, each in spans.items()}
    return [part for one in seen for part in _apart(one, parts.get(id(one.glyph), {}))]


def _spans(glyph: Glyph) -> dict[tuple[int, int], Glyph]:
    """Return what may be digits in `glyph`: from one column at which it may be cut to another."""
    pieces, height = segment.slices(glyph), len(glyph.mask)
    spans = {}
    for start, end in itertools.combinations(range(len(pieces) + 1), 2):
        first, last = pieces[start], pieces[end - 1]
        if last.right - first.left <= WIDEST * height:
            span = pieces[start:end]
            if sum(int(piece.mask.sum()) for piece in span) >= LIGHTEST * height**2:
                spans[first.left - glyph.left, last.right - glyph.left] = segment.join(span)
    return spans


def _apart(whole: Seen, parts: dict[tuple[int, int], Seen]) -> list[Seen]:
    """Return those of the `parts`, each with its first column and the one after its last, that `whole` is made of, if
    that is surer than `whole` itself; just that otherwise.
    """
    best: dict[int, tuple[float, list[Seen]]] = {0: (1.0, [])}  # how sure the digits up to a column are
    for (start, end), part in sorted(parts.items(), key=lambda item: item[0][1]):
        product, digits = best.get(start, (0.0, []))
        if product * part.confidence > best.get(end, (0.0, []))[0]:
            best[end] = (product * part.confidence, [*digits, part])
    product, digits = best.get(whole.glyph.mask.shape[1], (0.0, []))
    if not digits or product ** (2 / len(digits)) <= max(whole.confidence, LEAST):  # as for two, however many there are
        return [whole]
    several_ones = all(digit.probabilities.argmax() == 1 for digit in digits)  # rather an M or a fence
    return [whole] if several_ones else digits


def _digits(seen: list[Seen], small: tuple[int, ...], whole: tuple[int, ...]) -> list[Digit]:
    """Return those that are accepted, if they are not a small part of all the ink, with boxes in the picture of the
    shape `whole`, which was looked at in the shape `small`.
    """
    weights = [int(one.glyph.mask.sum()) for one in seen]
    if sum(weight for weight, one in zip(weights, seen, strict=True) if one.confidence) < PART * sum(weights):
        return []
    down, across = whole[0] / small[0], whole[1] / small[1]
    digits = []
    for one in seen:
        if one.confidence:
            glyph, row = one.glyph, one.probabilities
            sides = (glyph.left * across, glyph.top * down, glyph.right * across, glyph.bottom * down)
            left, top, right, bottom = (round(side) for side in sides)
            box = (left, top, right, bottom)
            digits.append(Digit(int(row.argmax()), float(row.max()), row.tolist(), box, one.image))
    return digits
