"""How well the winner rejects pictures without digits: `python -m benchmarks.rejection`.

200 pictures go through `recognise_digits`, from grey values to an answer: empty paper, noise and textures, letters, and
shapes. For comparison, the number of test digits that are rejected.

The letters are drawn from the same characters as the outliers that the OOD detector is trained on
(`pipeline.ood.outliers`); only the typefaces differ. Noise is also among these outliers, and some shapes resemble them.
The figures are therefore optimistic, and say nothing about other letters or symbols.
"""

from collections import Counter
from pathlib import Path

import cv2
import matplotlib
import numpy as np

import benchmarks
from digits.model import Classifier
from digits.recognise import recognise_digits
from pipeline.datasets import arrays
from pipeline.ood import outliers

EACH = 50  # pictures of each kind
SIDE, DRAWING = 300, 200  # pixels: height and width of a picture, and of what is drawn on it
LETTERS = [character for character in outliers.LETTERS if character.isalpha()]
TYPEFACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono-Oblique")


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
    character = LETTERS[rng.integers(len(LETTERS))]
    return outliers.letter(character, folder / f"{TYPEFACES[rng.integers(len(TYPEFACES))]}.ttf")


def _shape(rng: np.random.Generator) -> np.ndarray:
    """Return a heart, a house, a ladder, a fish, a flower or a face."""
    canvas = np.zeros((outliers.CANVAS, outliers.CANVAS), np.uint8)
    t, thick = np.linspace(0, 2 * np.pi, 100), int(rng.integers(3, 7))
    size = rng.uniform(0.8, 1.1)

    def line(points: np.ndarray, closed: bool = False) -> None:
        cv2.polylines(canvas, [np.round(48 + size * points).astype(np.int32)], closed, 255, thick, cv2.LINE_AA)

    kind = rng.integers(6)
    if kind == 0:
        line(
            2.2
            * np.stack(
                [16 * np.sin(t) ** 3, -13 * np.cos(t) + 5 * np.cos(2 * t) + 2 * np.cos(3 * t) + np.cos(4 * t)], 1
            )
        )
    elif kind == 1:
        line(np.array([[-30, 35], [-30, -5], [0, -35], [30, -5], [30, 35]]), closed=True)
        line(np.array([[-8, 35], [-8, 10], [8, 10], [8, 35]]))
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
        line(np.stack([34 * np.cos(t), 34 * np.sin(t)], 1))
        line(np.stack([18 * np.cos(t / 2), 6 + 14 * np.sin(t / 2)], 1))
        for x in (-12, 12):
            line(np.array([[x, -12], [x + 1, -11]]))
    return canvas


def _noise(rng: np.random.Generator) -> np.ndarray:
    """Return binarised noise, rays, rings or a brick wall."""
    kind = rng.integers(4)
    y, x = np.mgrid[-48:48, -48:48]
    if kind == 0:
        noise = cv2.GaussianBlur(rng.standard_normal(x.shape), (0, 0), rng.uniform(0.5, 4))
        return np.where(noise > np.quantile(noise, 0.7), 255, 0).astype(np.uint8)
    if kind == 1:
        return np.where(np.sin(np.arctan2(y, x) * rng.integers(6, 20)) > 0, 255, 0).astype(np.uint8)
    if kind == 2:
        return np.where(np.sin(np.hypot(y, x) * rng.uniform(0.4, 1.5)) > 0, 255, 0).astype(np.uint8)
    rows = (y // 12) % 2
    return np.where((y % 12 < 3) | ((x + 12 * rows) % 24 < 3), 255, 0).astype(np.uint8)


DRAWN = {"letters": _letter, "shapes": _shape, "noise": _noise}


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
    accepted = classifier.accept(*classifier.infer(test.scaled()))
    results["all"] = {"pictures": EACH * len(results), "rejected": rejected}
    results["test"] = {"digits": len(test), "rejected": int((~accepted).sum())}
    for name, result in results.items():
        print(name, result)
    benchmarks.write("rejection", results)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.rejection")
