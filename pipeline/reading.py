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

LONGEST = 640
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


def read(classifier: Classifier, grey: np.ndarray) -> list[Digit]:
    """Return the digits in `grey`, (height, width) float32 in [0, 1], from left to right; none where there is none.

    What does not look like one digit is cut apart if that gives several; what then looks like none is left out.
    """
    if (image := normalise.as_it_is(grey)) is not None:
        whole = Glyph(0, 0, np.ones(grey.shape, bool))
        return _digits(classifier, [(whole, image)], 1.0)
    height, width = grey.shape
    factor = min(1.0, LONGEST / max(height, width))
    if factor < 1:
        size = max(1, round(width * factor)), max(1, round(height * factor))
        grey = cv2.resize(grey, size, None, 0, 0, cv2.INTER_AREA)
    found = ink.find(grey)
    glyphs = segment.segment(found)
    if not glyphs:
        return []
    sure = confidences(classifier, found, glyphs)
    glyphs = _mended(classifier, found, glyphs, sure)
    return _digits(classifier, [(glyph, glyph.normalised(found)) for glyph in glyphs], factor)


def confidences(classifier: Classifier, found: Ink, glyphs: list[Glyph]) -> np.ndarray:
    """Return how sure it is that each glyph is one digit, (n,) in [0, 1]: 0 for what is not accepted."""
    probabilities, digitness = classifier.judge(_images(found, glyphs))
    return np.where(accepted(classifier, probabilities, digitness), probabilities.max(axis=1) * digitness, 0)


def accepted(classifier: Classifier, probabilities: np.ndarray, digitness: np.ndarray) -> np.ndarray:
    """Return which images are read, (n,) bool: those that the gate lets pass, if the model is sure where the gate is in
    doubt.
    """
    sure = (digitness >= DOUBTFUL) | (probabilities.max(axis=1) >= SURE)
    return np.asarray((digitness >= classifier.threshold) & sure)


def _images(found: Ink, glyphs: list[Glyph]) -> np.ndarray:
    return np.stack([glyph.normalised(found) for glyph in glyphs])[:, None]


def _mended(classifier: Classifier, found: Ink, glyphs: list[Glyph], sure: np.ndarray) -> list[Glyph]:
    """Return `glyphs`, of which `sure` are the confidences, with those cut apart that are several digits."""
    mended: list[Glyph] = []
    for glyph, confidence in zip(glyphs, sure, strict=True):
        height, width = glyph.mask.shape
        apart = [] if confidence and width <= WIDE * height else _apart(classifier, found, glyph, confidence)
        mended += apart or [glyph]
    return mended


def _apart(classifier: Classifier, found: Ink, glyph: Glyph, confidence: float) -> list[Glyph]:
    """Return the digits that `glyph` is made of, if that is surer than its own `confidence`; none otherwise."""
    pieces, height = segment.slices(glyph), len(glyph.mask)
    spans = {}
    for start, end in itertools.combinations(range(len(pieces) + 1), 2):
        if pieces[end - 1].right - pieces[start].left <= WIDEST * height:
            span = pieces[start:end]
            if sum(int(piece.mask.sum()) for piece in span) >= LIGHTEST * height**2:
                spans[start, end] = segment.join(span)
    if not spans:
        return []
    scores = dict(zip(spans, confidences(classifier, found, list(spans.values())), strict=True))
    best: list[tuple[float, list[Glyph]]] = [(1.0, [])]  # how sure the digits in the first 0, 1, ... pieces are
    for last in range(1, len(pieces) + 1):
        ways = [(best[s][0] * scores[s, e], [*best[s][1], spans[s, e]]) for s, e in spans if e == last]
        best.append(max(ways, default=(0.0, []), key=lambda way: way[0]))
    product, digits = best[-1]
    if not digits or product ** (2 / len(digits)) <= max(confidence, LEAST):  # as for two, however many there are
        return []
    several_ones = (classifier.predict(_images(found, digits)) == 1).all()  # rather an M or a fence
    return [] if several_ones else digits


def _digits(classifier: Classifier, seen: list[tuple[Glyph, np.ndarray]], factor: float) -> list[Digit]:
    """Return those of the glyphs and their images that are accepted, if they are not a small part of all, with boxes in
    the picture before it was made smaller by `factor`.
    """
    probabilities, digitness = classifier.judge(np.stack([image for _, image in seen])[:, None])
    ink = np.array([glyph.mask.sum() for glyph, _ in seen])
    read = accepted(classifier, probabilities, digitness)
    if ink[read].sum() < PART * ink.sum():
        return []
    digits = []
    for (glyph, image), row, is_read in zip(seen, probabilities, read, strict=True):
        if is_read:
            box = (glyph.left, glyph.top, glyph.right, glyph.bottom)
            left, top, right, bottom = (round(side / factor) for side in box)
            digits.append(Digit(int(row.argmax()), float(row.max()), row.tolist(), (left, top, right, bottom), image))
    return digits
