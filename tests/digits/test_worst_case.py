"""Pictures that would be slow to read without limits on the work."""

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from digits import ink, segmentation
from digits.model import Classifier
from digits.recognise import MAX_CROP_GLYPHS, MAX_CROP_SPANS, MAX_SPANS, Reason, read
from digits.segmentation import MAX_PARTS, MAX_SIDE_TO_NORMALISE

HEIGHT, WIDTH = 1000, 1300
MAX_IMAGES = MAX_PARTS + MAX_SPANS + 2 * (MAX_CROP_GLYPHS + MAX_CROP_SPANS) + 150  # 150: large glyphs at two scales
MAX_SECONDS = 10.0  # about 0.5 s on a current processor
Picture = np.ndarray  # (HEIGHT, WIDTH) uint8, bright ink on dark


def diagonals() -> Picture:
    """Return one connected component of thin lines as large as the picture."""
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    for left in range(-HEIGHT, WIDTH, 12):
        cv2.line(canvas, (left, 0), (left + HEIGHT, HEIGHT), 255, 1)
    cv2.line(canvas, (0, HEIGHT // 2), (WIDTH, HEIGHT // 2), 255, 1)
    return canvas


def nested_frames() -> Picture:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    for margin in range(5, 480, 20):
        cv2.rectangle(canvas, (margin, margin), (WIDTH - margin, HEIGHT - margin), 255, 3)
    return canvas


def rings() -> Picture:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    for radius in range(10, 480, 14):
        cv2.circle(canvas, (WIDTH // 2, HEIGHT // 2), radius, 255, 2)
    return canvas


def digits(height: int = 30) -> Picture:
    """Return a page of some 500 digits."""
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    for top in range(10, HEIGHT - height, 2 * height):
        for left in range(10, WIDTH - height, round(1.2 * height)):
            digit = str((top + left) % 10)
            cv2.putText(canvas, digit, (left, top + height), cv2.FONT_HERSHEY_SIMPLEX, height / 24, 255, 3)
    return canvas


def touching() -> Picture:
    """Return 36 wide glyphs of a dozen strokes each."""
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    rng = np.random.default_rng(0)
    for top in range(60, HEIGHT - 60, 150):
        for left in range(70, WIDTH - 140, 190):
            points = np.stack([left + np.linspace(-60, 100, 24), top + rng.uniform(-55, 55, 24)], axis=1)
            cv2.polylines(canvas, [points.round().astype(np.int32)], False, 255, 3)
    return canvas


def text() -> Picture:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    rng = np.random.default_rng(0)
    for top in range(40, HEIGHT, 40):
        for left in range(5, WIDTH, 110):
            word = "".join(map(chr, rng.integers(97, 123, 6)))
            cv2.putText(canvas, word, (left, top), cv2.FONT_HERSHEY_SCRIPT_COMPLEX, 0.9, 255, 2)
    return canvas


def bars() -> Picture:
    """Return 5,000 short bars, whose rows and columns are all lines."""
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    for top in range(2, HEIGHT - 14, 17):
        canvas[top : top + 14, 3::4] = 255
    return canvas


def salt_and_pepper() -> Picture:
    return np.where(np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.05, 255, 0).astype(np.uint8)


def blobs() -> Picture:
    noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((HEIGHT, WIDTH)), (0, 0), 6)
    return np.where(noise > 0.7 * noise.std(), 255, 0).astype(np.uint8)


DRAW = (diagonals, nested_frames, rings, digits, touching, text, bars, salt_and_pepper, blobs)


def grey(picture: Picture) -> np.ndarray:
    """Return `picture` as dark ink on bright paper, (height, width) float32 in [0, 1]."""
    return (0.95 - 0.9 / 255 * picture).astype(np.float32)


class Rejecting:
    """Rejects every image, which makes the reader try everything; counts the images."""

    images = 0

    def infer(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.images += len(images)
        return np.full((len(images), 10), 0.1, np.float32), np.zeros(len(images), np.float32)

    def accept(self, digitness: np.ndarray) -> np.ndarray:
        return digitness > 0.5


@pytest.mark.parametrize("draw", DRAW)
def test_the_work_for_one_picture_is_bounded(draw: Callable[[], Picture], monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []
    normalise = segmentation.normalise
    monkeypatch.setattr(
        segmentation, "normalise", lambda amount, mask: sides.append(max(mask.shape)) or normalise(amount, mask)
    )
    classifier = Rejecting()
    assert read(classifier, grey(draw())).digits == []
    assert classifier.images <= MAX_IMAGES
    assert max(sides, default=0) <= MAX_SIDE_TO_NORMALISE


def test_no_picture_takes_long(classifier: Classifier) -> None:
    for draw in DRAW:
        picture = grey(draw())
        start = time.perf_counter()
        read(classifier, picture)
        assert time.perf_counter() - start < MAX_SECONDS, draw.__name__


def test_only_so_many_digits_are_read_and_the_rest_is_reported(classifier: Classifier) -> None:
    found, rejected = read(classifier, grey(digits()))
    assert len(found) <= MAX_PARTS
    (rest,) = (each for each in rejected if each.reason == Reason.TOO_MANY)
    assert rest.digitness is None
    assert (rest.box[2] - rest.box[0]) * (rest.box[3] - rest.box[1]) > 0.5 * HEIGHT * WIDTH


def test_too_many_connected_components_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "MAX_COMPONENTS", 3)
    amount = np.zeros((100, 100), np.float32)
    for number in range(5):
        amount[20:80, 10 + 18 * number : 16 + 18 * number] = 1 - 0.1 * number
    segments = segmentation.segment(ink.Ink(amount, amount > 0))
    assert [glyph.left for glyph in segments.glyphs] == [10, 28, 46]
    assert segments.left_out == [((64, 20, 88, 80), Reason.TOO_MANY)]


def test_lines_of_too_many_nested_frames_are_not_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    find_lines = ink.find_lines
    monkeypatch.setattr(ink, "find_lines", lambda *args: calls.append(args[0].size) or find_lines(*args))
    mask = nested_frames() > 0
    ink.find_frames(mask)
    assert len(calls) >= 1
    assert sum(calls) <= ink.MAX_FRAME_AREA * mask.size


@pytest.mark.parametrize("thickness", [2, 10, 40])
def test_large_glyphs_are_reduced_without_harm(thickness: int, monkeypatch: pytest.MonkeyPatch) -> None:
    canvas = np.zeros((700, 500), np.uint8)
    cv2.polylines(canvas, [np.array([[50, 50], [450, 50], [200, 650]])], False, 1, thickness)
    found = ink.Ink(canvas.astype(np.float32), canvas > 0)
    (glyph,) = segmentation.segment(found).glyphs
    reduced = glyph.normalised(found)
    monkeypatch.setattr(segmentation, "MAX_SIDE_TO_NORMALISE", 1_000)
    assert np.abs(reduced - glyph.normalised(found)).mean() < 0.02
