"""How many pictures of digits are read exactly: `python -m benchmarks.reading`.

The pictures are composed of MNIST test digits: tight crops, low resolutions, rows, ruled paper and forms. Half of them
have bright ink on dark. Handwriting of other people is not measured here.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

import benchmarks
from digits.model import Classifier
from digits.recognise import recognise_digits
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.scoring import uncertainty

EACH = 200  # pictures of each kind
Picture = tuple[np.ndarray, str]  # ink (height, width) float32 in [0, 1], and the digits
Take = Callable[[], tuple[np.ndarray, int]]  # returns the next digit, cropped to its ink, and its label


def pictures(kind: str, digits: LabelledImages, count: int = EACH, seed: int = 0) -> list[Picture]:
    """Return `count` pictures of `kind`, grey values (height, width) float32 in [0, 1], with their digits."""
    rng = np.random.default_rng([seed, *kind.encode()])

    def take() -> tuple[np.ndarray, int]:
        row = int(rng.integers(len(digits)))
        return crop(digits.images[row] / np.float32(255)), int(digits.labels[row])

    composed = [KINDS[kind](rng, take) for _ in range(count)]
    return [(_on_paper(rng, ink), text) for ink, text in composed]


def crop(ink: np.ndarray) -> np.ndarray:
    """Crop `ink` to its bounding box."""
    rows, columns = np.flatnonzero((ink > 0.4).any(axis=1)), np.flatnonzero((ink > 0.4).any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _on_paper(rng: np.random.Generator, ink: np.ndarray) -> np.ndarray:
    """Return `ink` on paper with uneven light and grain, dark on bright or the reverse."""
    y, x = np.linspace(-1, 1, ink.shape[0])[:, None], np.linspace(-1, 1, ink.shape[1])
    light = 1 + rng.uniform(-0.1, 0.1) * x + rng.uniform(-0.1, 0.1) * y
    grain = rng.uniform(0, 0.015) * rng.standard_normal(ink.shape)
    grey = rng.uniform(0.7, 0.9) * light * (1 - rng.uniform(0.5, 0.95) * ink) + grain
    return (grey if rng.random() < 0.5 else 1 - grey).clip(0, 1).astype(np.float32)


def _resize(ink: np.ndarray, height: int, width: int) -> np.ndarray:
    shrinks = height < ink.shape[0]
    resized = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(resized.clip(0, 1), np.float32)


def _scaled(ink: np.ndarray, side: float) -> np.ndarray:
    """Scale `ink` so that its longer side has `side` pixels."""
    factor = side / max(ink.shape)
    return _resize(ink, max(1, round(ink.shape[0] * factor)), max(1, round(ink.shape[1] * factor)))


def _binary(ink: np.ndarray) -> np.ndarray:
    return (ink > 0.5).astype(np.float32)


def _crop(rng: np.random.Generator, take: Take) -> Picture:
    """Return a digit that touches the edges of the picture."""
    ink, label = take()
    return _scaled(ink, rng.uniform(20, 300)), str(label)


def _scan(_: np.random.Generator, take: Take) -> Picture:
    """Return a digit stretched to a binary picture of 16x16 pixels."""
    ink, label = take()
    return _binary(_resize(ink, 16, 16)), str(label)


def _bitmap(_: np.random.Generator, take: Take) -> Picture:
    """Return a digit in a binary picture of 32x32 pixels, at two of its edges."""
    ink, label = take()
    scaled = _binary(_scaled(ink, 32))
    rest = np.array([(32 - side) for side in scaled.shape])
    return np.pad(scaled, [(side // 2, side - side // 2) for side in rest]), str(label)


def _tiny(_: np.random.Generator, take: Take) -> Picture:
    """Return a digit in a picture of 8x8 pixels."""
    ink, label = take()
    margin = (max(ink.shape) - np.array(ink.shape)) // 2
    return cv2.resize(np.pad(ink, [(side, side) for side in margin]), (8, 8), interpolation=cv2.INTER_AREA), str(label)


def _small(rng: np.random.Generator, take: Take) -> Picture:
    """Return a digit of 10 to 20 pixels with a margin."""
    ink, label = take()
    return np.pad(_scaled(ink, rng.uniform(10, 20)), rng.integers(1, 10, (2, 2))), str(label)


def _row(rng: np.random.Generator, take: Take, slope: float = 0.0) -> Picture:
    """Return four to six digits about 80 pixels high, on a line that falls by `slope`."""
    count = int(rng.integers(4, 7))
    canvas, text, left = np.zeros((1000, 1000), np.float32), "", 60
    for _ in range(count):
        ink, label = take()
        scaled = _scaled(ink, rng.uniform(70, 90))
        top = round(500 - scaled.shape[0] / 2 + slope * left + rng.uniform(-5, 5))
        canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
        left += scaled.shape[1] + round(rng.uniform(15, 40))
        text += str(label)
    rows = np.flatnonzero(canvas.any(axis=1))
    return canvas[rows[0] - 50 : rows[-1] + 51, : left + 30], text


def _tight_row(rng: np.random.Generator, take: Take) -> Picture:
    """Return a row whose digits touch the edges of the picture."""
    ink, text = _row(rng, take)
    return crop(ink), text


def _falling_row(rng: np.random.Generator, take: Take) -> Picture:
    """Return a row of upright digits that falls or rises by 5 to 20 degrees."""
    return _row(rng, take, rng.choice((-1, 1)) * np.tan(np.radians(rng.uniform(5, 20))))


def _rotated_row(rng: np.random.Generator, take: Take) -> Picture:
    """Return a row rotated by 3 to 12 degrees."""
    ink, text = _row(rng, take)
    height, width = ink.shape
    size = (width, height + round(0.25 * width))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.choice((-1, 1)) * rng.uniform(3, 12), 1)
    matrix[1, 2] += (size[1] - height) / 2
    return np.asarray(cv2.warpAffine(ink, matrix, size), np.float32), text


def _thumbnail(rng: np.random.Generator, take: Take) -> Picture:
    """Return a row reduced to 80 to 140 pixels."""
    ink, text = _row(rng, take)
    return _scaled(ink, rng.uniform(80, 140)), text


def _with_lines(rng: np.random.Generator, picture: Picture, axes: tuple[int, ...]) -> Picture:
    """Draw printed lines, paler than the ink and as far apart as a digit is high, behind a picture."""
    ink, text = picture
    lines, pitch, pale = np.zeros_like(ink), round(rng.uniform(50, 110)), rng.uniform(0.2, 0.6)
    for axis in axes:
        for start in range(int(rng.integers(pitch)), ink.shape[axis], pitch):
            lines[(slice(None),) * axis + (slice(start, start + 2),)] = pale
    return np.maximum(ink, lines), text


def _ruled(rng: np.random.Generator, take: Take) -> Picture:
    return _with_lines(rng, _row(rng, take), (0,))


def _squared(rng: np.random.Generator, take: Take) -> Picture:
    return _with_lines(rng, _row(rng, take), (0, 1))


def _cell(rng: np.random.Generator, ink: np.ndarray, side: int, thickness: int) -> np.ndarray:
    """Return `ink` in a square frame of `side` pixels."""
    canvas = np.zeros((side, side), np.float32)
    scaled = _scaled(ink, rng.uniform(0.5, 0.75) * side)
    top, left = ((side - np.array(scaled.shape)) * rng.uniform(0.35, 0.65, 2)).astype(int)
    canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return np.asarray(cv2.rectangle(canvas, (0, 0), (side - 1, side - 1), 1.0, thickness), np.float32)


def _form(rng: np.random.Generator, take: Take) -> Picture:
    """Return the cells of a form with a digit each, with a margin."""
    side, thickness = int(rng.integers(70, 120)), int(rng.integers(1, 4))
    taken = [take() for _ in range(int(rng.integers(3, 7)))]
    cells = np.hstack([_cell(rng, ink, side, thickness) for ink, _ in taken])
    return np.pad(cells, 40), "".join(str(label) for _, label in taken)


def _one_cell(rng: np.random.Generator, take: Take) -> Picture:
    """Return one cell of a form, cut out so that one to four of its lines are at the edges of the picture."""
    ink, label = take()
    thickness = int(rng.integers(1, 4))
    cell = _cell(rng, ink, int(rng.integers(60, 200)), thickness)
    cut = np.where(rng.random(4) < 0.4, 2 * thickness, 0)
    cut[rng.integers(4)] = 0
    top, bottom, left, right = cut
    return cell[top : len(cell) - bottom, left : len(cell) - right], str(label)


KINDS: dict[str, Callable[[np.random.Generator, Take], Picture]] = {
    "tight crops": _crop,
    "16x16 scans, stretched": _scan,
    "32x32 bitmaps": _bitmap,
    "8x8 pixels": _tiny,
    "10 to 20 pixels": _small,
    "rows": _row,
    "tight rows": _tight_row,
    "falling rows": _falling_row,
    "rotated rows": _rotated_row,
    "thumbnails of rows": _thumbnail,
    "ruled paper": _ruled,
    "squared paper": _squared,
    "forms": _form,
    "one cell of a form": _one_cell,
}


def measure(classifier: Classifier, drawn: list[Picture]) -> dict[str, Any]:
    """Return how many pictures are read exactly, with Wilson's 95% interval, and in how many no digit is found."""
    texts = ["".join(str(digit.digit) for digit in recognise_digits(classifier, grey)) for grey, _ in drawn]
    exact = sum(found == text for found, (_, text) in zip(texts, drawn, strict=True))
    return {
        "pictures": len(drawn),
        "exact": exact,
        "interval": list(uncertainty.interval(exact, len(drawn))),
        "no_digit_found": texts.count(""),
    }


def main() -> None:
    """Measure models/best, print and write the results."""
    classifier, test = Classifier.load("models/best"), arrays.load(arrays.TEST)
    results = {kind: measure(classifier, pictures(kind, test)) for kind in KINDS}
    for kind, result in results.items():
        print(f"{kind}: {result['exact']} of {result['pictures']} read exactly")
    benchmarks.write("reading", results)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.reading")
