"""How well the winner rejects pictures without digits: `python -m benchmarks.rejection`.

200 pictures go through `recognise_digits`, from grey values to an answer: empty paper, textures, letters, and shapes.
For comparison, the number of test digits that are rejected.

None of this is among the outliers that the OOD detector is trained on (`pipeline.ood.outliers`): the letters are of the
scripts held out there, Georgian and Tifinagh, and in another typeface; the shapes and the textures are others. All of
it is printed or drawn by this module, however. `benchmarks.external` measures the rejection of other people's pictures.
"""

from collections import Counter
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import benchmarks
from digits.model import Classifier
from digits.recognise import recognise_digits
from pipeline.datasets import arrays

EACH = 50  # pictures of each kind
SIDE, DRAWING = 300, 200  # pixels: height and width of a picture, and of what is drawn on it
CANVAS = 96  # height and width of a drawing before it is enlarged, in pixels
LETTERS = "დთლმტჟფღყშჩწჭჯⴳⴴⴷⴹⴻⴼⴽⵃⵄⵅⵉⵎⵖⵛⵜⵞⵟⵡⵢⵣⵥ"  # none of which looks like a digit
TYPEFACE = "DejaVuSans-Bold"


def pictures(kind: str, seed: int = 0) -> list[np.ndarray]:
    """Return EACH pictures of `kind`, (300, 300) float32 in [0, 1], on unevenly lit and grainy paper."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(-1, 1, SIDE)
    found = []
    for _ in range(EACH):
        ink = np.zeros((SIDE, SIDE), np.float32)
        if kind != "empty":
            drawn = cv2.resize(DRAWN[kind](rng), (DRAWING, DRAWING)).astype(np.float32) / 255
            y, x = rng.integers(0, SIDE - DRAWING, 2)
            ink[y : y + DRAWING, x : x + DRAWING] = drawn
        light = 1 + ramp * rng.uniform(-0.15, 0.15) + ramp[:, None] * rng.uniform(-0.15, 0.15)
        grain = rng.uniform(0.003, 0.02) * rng.standard_normal((SIDE, SIDE))
        brightness, darkness = rng.uniform(0.6, 0.85), rng.uniform(0.5, 0.9)  # of paper and ink
        found.append((brightness * light * (1 - darkness * ink) + grain).clip(0, 1).astype(np.float32))
    return found


def _letter(rng: np.random.Generator) -> np.ndarray:
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    typeface = ImageFont.truetype(str(folder / f"{TYPEFACE}.ttf"), 64)
    canvas = Image.new("L", (CANVAS, CANVAS))
    character = LETTERS[rng.integers(len(LETTERS))]
    ImageDraw.Draw(canvas).text((CANVAS / 2, CANVAS / 2), character, 255, typeface, anchor="mm")
    return np.asarray(canvas)


def _shape(rng: np.random.Generator) -> np.ndarray:
    """Return a cup, an umbrella, a ladder, a fish, a flower or a pair of glasses."""
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    t, thick = np.linspace(0, 2 * np.pi, 100), int(rng.integers(3, 7))
    size = rng.uniform(0.8, 1.1)

    def line(points: np.ndarray, closed: bool = False) -> None:
        cv2.polylines(canvas, [np.round(48 + size * points).astype(np.int32)], closed, 255, thick, cv2.LINE_AA)

    kind = rng.integers(6)
    if kind == 0:
        line(np.array([[-30, -28], [-22, 32], [12, 32], [20, -28]]), closed=True)
        line(np.stack([18 + 16 * np.sin(t / 2), 2 - 14 * np.cos(t / 2)], 1))
    elif kind == 1:
        line(np.stack([-36 * np.cos(t / 2), 2 - 34 * np.sin(t / 2)], 1), closed=True)
        line(np.stack([-7 + 7 * np.cos(t / 2), 30 + 7 * np.sin(t / 2)], 1))
        line(np.array([[0, 2], [0, 30]]))
    elif kind == 2:
        for x in (-18, 18):
            line(np.array([[x, -38], [x, 38]]))
        for y in (-24, -8, 8, 24):
            line(np.array([[-18, y], [18, y]]))
    elif kind == 3:
        line(np.stack([-8 + 26 * np.cos(t), 14 * np.sin(t)], 1))
        line(np.array([[18, 0], [36, -16], [36, 16]]), closed=True)
    elif kind == 4:
        reach = 22 + 14 * np.cos(int(rng.integers(4, 8)) * t)
        line(np.stack([reach * np.cos(t), reach * np.sin(t)], 1))
    else:
        for x in (-22, 22):
            line(np.stack([x + 15 * np.cos(t), 13 * np.sin(t)], 1))
        line(np.array([[-7, 0], [7, 0]]))
        line(np.array([[-37, -2], [-42, -20]]))
        line(np.array([[37, -2], [42, -20]]))
    return canvas


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Return rays, rings or a brick wall."""
    kind = rng.integers(3)
    y, x = np.mgrid[-48:48, -48:48]
    if kind == 0:
        return np.where(np.sin(np.arctan2(y, x) * rng.integers(6, 20)) > 0, 255, 0).astype(np.uint8)
    if kind == 1:
        return np.where(np.sin(np.hypot(y, x) * rng.uniform(0.4, 1.5)) > 0, 255, 0).astype(np.uint8)
    rows = (y // 12) % 2
    return np.where((y % 12 < 3) | ((x + 12 * rows) % 24 < 3), 255, 0).astype(np.uint8)


DRAWN = {"letters": _letter, "shapes": _shape, "textures": _texture}


def main() -> None:
    """Measure models/best, print and write the results."""
    classifier = Classifier.load("models/best")
    results: dict[str, object] = {}
    rejected = 0
    for kind in ("empty", *DRAWN):
        texts = ["".join(str(digit.digit) for digit in recognise_digits(classifier, each)) for each in pictures(kind)]
        rejected += texts.count("")
        results[kind] = {
            "pictures": EACH,
            "rejected": texts.count(""),
            "read_as": dict(sorted(Counter(filter(None, texts)).items())),
        }
    test = arrays.load(arrays.TEST)
    accepted = classifier.accept(classifier.infer(test.scaled())[1])
    results["all"] = {"pictures": EACH * len(results), "rejected": rejected}
    results["test"] = {"digits": len(test), "rejected": int((~accepted).sum())}
    for name, result in results.items():
        print(name, result)
    benchmarks.write("rejection", results)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.rejection")
