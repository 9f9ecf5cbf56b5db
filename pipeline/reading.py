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

LOOKS = (320, 640, 1280)  # pixels of a picture's longer side; a closer look only where there are not only plain digits
LEGIBLE = 40  # pixels of a plain digit's longer side at least
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
    """Return the digits in `grey`, (height, width) float32 in [0, 1], from left to right; none where there is none.

    A glance at the picture made small is enough for plain digits. What does not look like one digit is cut apart if
    that gives several; what then looks like none is left out.
    """
    if (image := normalise.as_it_is(grey)) is not None:
        return _digits(judge(classifier, [Glyph(0, 0, np.ones(grey.shape, bool))], [image]), 1.0)
    for longest in LOOKS:
        factor = min(1.0, longest / max(grey.shape))
        found = ink.find(_smaller(grey, factor))
        seen = look(classifier, found, segment.segment(found))
        if factor == 1 or (seen and all(map(_plain, seen))):
            break
    return _digits([part for whole in seen for part in _parts(classifier, found, whole)], factor)


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
    """Return whether `one` is accepted, large enough, and not so wide that it may be several digits."""
    height, width = one.glyph.mask.shape
    return bool(one.confidence) and width <= WIDE * height and height >= LEGIBLE


def _parts(classifier: Classifier, found: Ink, whole: Seen) -> list[Seen]:
    """Return the digits that `whole` is made of if it is rather several than one; itself otherwise."""
    height, width = whole.glyph.mask.shape
    if whole.confidence and width <= WIDE * height:
        return [whole]
    pieces = segment.slices(whole.glyph)
    spans = {}
    for start, end in itertools.combinations(range(len(pieces) + 1), 2):
        if pieces[end - 1].right - pieces[start].left <= WIDEST * height:
            span = pieces[start:end]
            if sum(int(piece.mask.sum()) for piece in span) >= LIGHTEST * height**2:
                spans[start, end] = segment.join(span)
    seen = dict(zip(spans, look(classifier, found, list(spans.values())), strict=True))
    best: list[tuple[float, list[Seen]]] = [(1.0, [])]  # how sure the digits in the first 0, 1, ... pieces are
    for last in range(1, len(pieces) + 1):
        ways = [(best[s][0] * seen[s, e].confidence, [*best[s][1], seen[s, e]]) for s, e in seen if e == last]
        best.append(max(ways, default=(0.0, []), key=lambda way: way[0]))
    product, digits = best[-1]
    if not digits or product ** (2 / len(digits)) <= max(whole.confidence, LEAST):  # as for two, however many there are
        return [whole]
    several_ones = all(digit.probabilities.argmax() == 1 for digit in digits)  # rather an M or a fence
    return [whole] if several_ones else digits


def _digits(seen: list[Seen], factor: float) -> list[Digit]:
    """Return those that are accepted, if they are not a small part of all the ink, with boxes in the picture before it
    was made smaller by `factor`.
    """
    ink = [int(one.glyph.mask.sum()) for one in seen]
    if sum(part for part, one in zip(ink, seen, strict=True) if one.confidence) < PART * sum(ink):
        return []
    digits = []
    for one in seen:
        if one.confidence:
            glyph, row = one.glyph, one.probabilities
            left, top, right, bottom = (round(v / factor) for v in (glyph.left, glyph.top, glyph.right, glyph.bottom))
            box = (left, top, right, bottom)
            digits.append(Digit(int(row.argmax()), float(row.max()), row.tolist(), box, one.image))
    return digits
