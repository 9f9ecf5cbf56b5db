"""Recognise the digits in a picture, in reading order.

    classifier = Classifier.load()
    digits = recognise_digits(classifier, load_image("photo.png"))
    text = "".join(str(digit.digit) for digit in digits)

`read` also returns the ink that was left out, with the reason.

The picture is segmented at a small size first, and at larger sizes only if some glyph is too small or not clearly one
digit. Such a glyph is then split if its parts are accepted with more confidence than the whole. If digits explain only
a part of the ink, or some of it touches the edge, the picture may be a tight crop: it is also read as ink on uniform
paper, and the reading with the highest confidence in the largest share of the ink is returned. Very small pictures have
one digit at most, unless they are wide.
"""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np

from digits import ink, segmentation
from digits.ink import Ink
from digits.model import Classifier
from digits.normalise import already_normalised
from digits.segmentation import Box, Glyph, Reason

SCALES = (
    320,
    640,
    1280,
)  # longer side in pixels at which the picture is segmented, in turn, until all glyphs are clear
MIN_HEIGHT = 40  # smallest height in pixels, at that scale, of a single digit that needs no larger scale
MAX_HEIGHT = 120  # height in pixels from which no glyph needs a larger scale
MAX_UNCLEAR = 40  # pictures with more unclear glyphs are text; nothing is split
MAX_SPANS = 300  # parts of unclear glyphs that are classified; glyphs beyond it are not split; bounds the work
MAX_CROP_GLYPHS, MAX_CROP_SPANS = 50, 100  # the same for a crop, and the number of its glyphs
MAX_SINGLE_WIDTH = 0.95  # relative to its height; a wider glyph may be several digits
MAX_PART_WIDTH = 1.3  # largest width of one digit in a glyph, relative to the height of the glyph
MIN_PART_INK = 0.02  # smallest area of one digit in a glyph, relative to the squared height of the glyph
MIN_SPLIT_CONFIDENCE = 0.75  # smallest joint confidence, per pair of digits, at which ink is several digits, not one
MIN_SIDE = 96  # longer side in pixels to which smaller pictures are enlarged, which makes the edges of strokes smooth
PAGE_WEIGHT = 0.7  # of the reading as a page if ink touches the edge, where no paper is seen around strokes
CLEAR_CONFIDENCE = 0.9  # confidence in an image in the form of MNIST's from which on it is read as it is
CLEAR_SHARE = 0.9  # share of the ink that digits must explain for no other reading to be tried
NARROWED = 0.65  # width to which wide digits in very small pictures are also scaled: such scans are often stretched
NARROWED_WIDTHS = (0.8, 1.2)  # smallest and largest width of such a digit, relative to its height
MAX_REJECTED = 20  # rejected parts of the ink that are returned, the largest ones
MAX_BOX_DIFFERENCE = 0.08  # between the boxes of one digit in two views, relative to the picture
MIN_SIDE_OF_SEVERAL = 40  # longer side in pixels from which on a picture may have several digits, unless it is wide
MIN_WIDTH_OF_SEVERAL = 1.5  # width of a wide picture, relative to its height
MIN_INK_SHARE = 0.4  # smallest share of the ink that must be digits; with less, the picture is a texture


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
class Rejected:
    """Ink that was not read.

    Attributes:
        box: left, top, right, bottom in pixels of the picture; right and bottom are exclusive.
        digitness: how much the ink looks like a digit, in [0, 1]; None if the model was not asked.
        reason: why it was not read.
    """

    box: Box
    digitness: float | None
    reason: Reason

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON; digitness is rounded to four decimals."""
        digitness = None if self.digitness is None else round(self.digitness, 4)
        return {"box": list(self.box), "digitness": digitness, "reason": str(self.reason)}


class Reading(NamedTuple):
    """What was found in a picture.

    Attributes:
        digits: line by line, each line from left to right; empty if there are none.
        rejected: the other ink, except dust, shadows and printed lines, at most MAX_REJECTED parts, largest first.
    """

    digits: list[Digit]
    rejected: list[Rejected]


@dataclass(frozen=True)
class Candidate:
    """A classified glyph.

    Attributes:
        glyph: where it is in the picture.
        image: (28, 28) float32 in [0, 1], the input of the model.
        probabilities: (10,) of the ten digits.
        digitness: how much it looks like a digit, in [0, 1].
        confidence: probability of the predicted digit times digitness, in [0, 1]; 0 if the model rejects the image.
    """

    glyph: Glyph
    image: np.ndarray
    probabilities: np.ndarray
    digitness: float
    confidence: float


@dataclass(frozen=True)
class View:
    """One way to see a picture as digits.

    Attributes:
        shape: height and width of the picture, after scaling.
        candidates: in reading order.
        left_out: boxes of other ink, with the reason.
        is_single: whether the picture is too small for several digits.
    """

    shape: tuple[int, ...]
    candidates: list[Candidate]
    left_out: list[tuple[Box, Reason]]
    is_single: bool = False

    @cached_property
    def accepted(self) -> list[Candidate]:
        """Return the accepted candidates; none if they are too many or too small a share of the candidates' ink."""
        accepted = [candidate for candidate in self.candidates if candidate.confidence]
        is_texture = _area(accepted) < MIN_INK_SHARE * _area(self.candidates)
        return [] if is_texture or self.has_too_many else accepted

    @property
    def has_too_many(self) -> bool:
        """Return whether there are several digits in a picture that is too small for them."""
        return self.is_single and sum(candidate.confidence > 0 for candidate in self.candidates) > 1

    @property
    def digit_share(self) -> float:
        """Return the share of the picture that is ink of accepted digits, in [0, 1]."""
        return _area(self.accepted) / (self.shape[0] * self.shape[1])

    @property
    def confidence(self) -> float:
        """Return the joint confidence in the accepted digits, as for one or two of them; 0 if there are none."""
        accepted = self.accepted
        return _joint_confidence(math.prod(each.confidence for each in accepted), len(accepted)) if accepted else 0.0


def recognise_digits(classifier: Classifier, grey: np.ndarray) -> list[Digit]:
    """Return the digits in a picture, line by line, each line from left to right; an empty list if there are none.

    Args:
        classifier: the model.
        grey: (height, width) float32 in [0, 1], dark ink on bright paper or the reverse.
    """
    return read(classifier, grey).digits


def read(classifier: Classifier, grey: np.ndarray) -> Reading:
    """Return the digits in a picture and what else was found in it; the arguments are those of `recognise_digits`."""
    if (image := already_normalised(grey)) is None:
        return _reading(_view(classifier, grey), grey.shape)
    whole = View(grey.shape, classify(classifier, [Glyph(0, 0, np.ones(grey.shape, bool))], [image]), [])
    if whole.confidence < CLEAR_CONFIDENCE:  # its strokes may be too thin
        other = _view(classifier, grey)
        whole = other if other.confidence > whole.confidence else whole
    return _reading(whole, grey.shape)


def _view(classifier: Classifier, grey: np.ndarray) -> View:
    """View `grey` as a page or as a crop, whichever explains more of its ink with more confidence."""
    small = _shrink_to(grey, SCALES[0])
    is_single = max(grey.shape) < MIN_SIDE_OF_SEVERAL and grey.shape[1] < MIN_WIDTH_OF_SEVERAL * grey.shape[0]
    page = _view_page(classifier, grey, small, is_single)
    enlarged = _enlarge(small)
    mask = ink.mask_on_uniform_paper(enlarged)
    at_edge = _touches_edge(mask)
    is_clear = page.digit_share >= CLEAR_SHARE * mask.mean() and not at_edge
    if is_clear or (enlarged is small and not (at_edge and ink.is_uniform(small, mask))):
        return page
    found = ink.find_on_uniform_paper(enlarged)
    crop = _view_crop(classifier, found, is_single)
    if not crop.accepted:  # the edge of the picture may be mostly ink
        crop = _view_crop(classifier, found.inverted(), is_single)
    weight = PAGE_WEIGHT if at_edge else 1.0
    shares = (1.0, 1.0) if _agree_on_boxes(page, crop) else (page.digit_share, crop.digit_share)
    is_page = weight * page.confidence * shares[0] >= crop.confidence * shares[1]
    is_row = page.confidence >= MIN_SPLIT_CONFIDENCE and len(page.accepted) >= len(crop.accepted) + 2
    return page if is_page or is_row else crop


def summarise(rejected: Sequence[Rejected]) -> str:
    """Return in one line what was found in a picture without digits: "rejected 1 part of the ink (1 not a digit)"."""
    if not rejected:
        return "found no ink"
    reasons = Counter(str(each.reason) for each in rejected)
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"rejected {len(rejected)} part{'s' * (len(rejected) > 1)} of the ink ({counts})"


def classify(classifier: Classifier, glyphs: Sequence[Glyph], images: Sequence[np.ndarray]) -> list[Candidate]:
    """Classify `glyphs`, given as `images`, (28, 28) float32 in [0, 1] each."""
    if not glyphs:
        return []
    probabilities, digitness = classifier.infer(np.stack(images)[:, None])
    accepted = classifier.accept(digitness)
    confidence = np.where(accepted, probabilities.max(axis=1) * digitness, 0).tolist()
    return list(map(Candidate, glyphs, images, probabilities, digitness.tolist(), confidence))


def _view_page(classifier: Classifier, grey: np.ndarray, small: np.ndarray, is_single: bool) -> View:
    """View `grey` as a photo or page with digits that are smaller than the picture; `small` is its smallest scale."""
    for side in SCALES:
        small = small if side == SCALES[0] else _shrink_to(grey, side)
        found = ink.find(small)
        segments = segmentation.segment(found)
        is_last = small is grey or side == SCALES[-1]
        if is_last or all(len(glyph.mask) >= MIN_HEIGHT for glyph in segments.glyphs):
            candidates = _classify_glyphs(classifier, found, segments.glyphs, is_single)
            if is_last or (candidates and all(map(_is_clear, candidates))):
                break
    candidates = _split_unclear(classifier, found, candidates, MAX_SPANS)
    return View(small.shape, candidates, segments.left_out, is_single)


def _view_crop(classifier: Classifier, found: Ink, is_single: bool) -> View:
    """View the ink `found` as digits that may touch the edge of the picture."""
    glyphs, left_out = segmentation.segment(found)
    if len(glyphs) > MAX_CROP_GLYPHS:
        return View(found.mask.shape, [], left_out)
    candidates = _classify_glyphs(classifier, found, glyphs, is_single)
    candidates = _split_unclear(classifier, found, candidates, MAX_CROP_SPANS)
    return View(found.mask.shape, candidates, left_out, is_single)


def _agree_on_boxes(one: View, other: View) -> bool:
    """Return whether the accepted digits of two views of a picture are as many, in the same places."""
    if len(one.accepted) != len(other.accepted):
        return False
    boxes, others = (
        np.array([each.glyph.box for each in view.accepted]).reshape(-1, 2, 2) / view.shape[1::-1]
        for view in (one, other)
    )
    return bool((np.abs(boxes - others) <= MAX_BOX_DIFFERENCE).all())


def _touches_edge(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _classify_glyphs(classifier: Classifier, found: Ink, glyphs: Sequence[Glyph], is_single: bool) -> list[Candidate]:
    """Normalise and classify `glyphs` of the ink `found`, the only glyph of a very small picture at two widths."""
    if len(glyphs) == 1 and is_single:
        return [_classify_alone(classifier, found, glyphs[0])]
    return classify(classifier, glyphs, [glyph.normalised(found) for glyph in glyphs])


def _classify_alone(classifier: Classifier, found: Ink, glyph: Glyph) -> Candidate:
    """Normalise and classify `glyph` as it is and, if it may have been stretched, narrowed."""
    height, width = glyph.mask.shape
    narrowest, widest = NARROWED_WIDTHS
    widths = (1.0, NARROWED) if narrowest * height <= width <= widest * height else (1.0,)
    images = [glyph.normalised(found, width) for width in widths]
    return max(classify(classifier, [glyph] * len(images), images), key=lambda candidate: candidate.confidence)


def _enlarge(grey: np.ndarray) -> np.ndarray:
    """Scale `grey` to a longer side of MIN_SIDE pixels, if it is smaller."""
    factor = MIN_SIDE / max(grey.shape)
    if factor <= 1:
        return grey
    height, width = (max(1, round(side * factor)) for side in grey.shape)
    return cv2.resize(grey, (width, height), None, 0, 0, cv2.INTER_CUBIC).clip(0, 1)


def _shrink_to(grey: np.ndarray, side: int) -> np.ndarray:
    """Scale `grey` to a longer side of at most `side` pixels."""
    return _shrink(grey, min(1.0, side / max(grey.shape)))


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


def _split_unclear(classifier: Classifier, found: Ink, candidates: list[Candidate], max_spans: int) -> list[Candidate]:
    """Return `candidates` with touching digits split. All parts, at most `max_spans`, are classified in one call."""
    unclear = [candidate.glyph for candidate in candidates if not _is_single(candidate)]
    if len(unclear) > MAX_UNCLEAR:
        return candidates
    spans: dict[int, dict[tuple[int, int], Glyph]] = {}
    for glyph in unclear:
        if len(found_spans := _spans(glyph)) <= max_spans:
            spans[id(glyph)] = found_spans
            max_spans -= len(found_spans)
    glyphs = [part for each in spans.values() for part in each.values()]
    classified = iter(classify(classifier, glyphs, [glyph.normalised(found) for glyph in glyphs]))
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
    if not digits or _joint_confidence(product, len(digits)) <= max(whole.confidence, MIN_SPLIT_CONFIDENCE):
        return [whole]
    only_ones = all(digit.probabilities.argmax() == 1 for digit in digits)  # more likely an M or a fence
    return [whole] if only_ones else digits


def _joint_confidence(product: float, count: int) -> float:
    """Return the `product` of `count` confidences; of more than two, on a scale comparable with that of two."""
    return product ** (2 / count) if count > 2 else product


def _area(candidates: Sequence[Candidate]) -> int:
    """Return the number of pixels that are ink of `candidates`."""
    return sum(int(candidate.glyph.mask.sum()) for candidate in candidates)


def _reading(view: View, shape: tuple[int, ...]) -> Reading:
    """Return the digits and the rejected ink of `view`, with boxes in pixels of the picture, whose shape is `shape`."""
    down, across = shape[0] / view.shape[0], shape[1] / view.shape[1]

    def scale(box: Box) -> Box:
        left, top, right, bottom = (round(side * factor) for side, factor in zip(box, (across, down) * 2, strict=True))
        left, top = min(left, shape[1] - 1), min(top, shape[0] - 1)
        return left, top, max(right, left + 1), max(bottom, top + 1)

    accepted, digits = view.accepted, []
    rejected = [Rejected(scale(box), None, reason) for box, reason in view.left_out]
    for candidate in view.candidates:
        glyph, row = candidate.glyph, candidate.probabilities
        box = scale(glyph.box)
        if not candidate.confidence:
            rejected.append(Rejected(box, candidate.digitness, Reason.NOT_A_DIGIT))
        elif not accepted:
            reason = Reason.TOO_SMALL if view.has_too_many else Reason.TEXTURE
            rejected.append(Rejected(box, candidate.digitness, reason))
        else:
            digits.append(Digit(int(row.argmax()), float(row.max()), row.tolist(), box, candidate.image))
    rejected.sort(key=lambda each: (each.box[0] - each.box[2]) * (each.box[3] - each.box[1]))
    return Reading(digits, rejected[:MAX_REJECTED])
