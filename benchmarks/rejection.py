"""How well the winner knows what it does not know: `python -m benchmarks.rejection`.

200 pictures of what is no digit go the way of any picture, from grey values to an answer: empty paper, noise and
textures, letters in typefaces that the gate has not learned from, shapes that are not among those it has learned from.
Beside it the share of MNIST's test digits that is rejected.
"""

from collections import Counter
from pathlib import Path

import cv2
import matplotlib
import numpy as np

import benchmarks
from pipeline import reading
from digits.model import Classifier
from pipeline.datasets import arrays
from pipeline.ood import outliers

EACH = 50
SIDE = 300  # pixels of a picture
TYPEFACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono-Oblique")


def pictures(kind: str, seed: int = 0) -> list[np.ndarray]:
    """Return EACH pictures of `kind`, (300, 300) float32 in [0, 1], on uneven, grainy paper."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(EACH):
        ink = np.zeros((SIDE, SIDE), np.float32)
        if kind != "empty":
            drawn = cv2.resize(DRAWN[kind](rng), (200, 200)).astype(np.float32) / 255
            y, x = rng.integers(0, SIDE - 200, 2)
            ink[y : y + 200, x : x + 200] = drawn
        slope = np.linspace(-1, 1, SIDE) * rng.uniform(-0.15, 0.15) + np.linspace(-1, 1, SIDE)[:, None] * rng.uniform(
            -0.15, 0.15
        )
        grain = rng.uniform(0.003, 0.02) * rng.standard_normal((SIDE, SIDE))
        found.append(
            (rng.uniform(0.6, 0.85) * (1 + slope) * (1 - rng.uniform(0.5, 0.9) * ink) + grain)
            .clip(0, 1)
            .astype(np.float32)
        )
    return found


def _letter(rng: np.random.Generator) -> np.ndarray:
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    character = nondigits.LETTERS[rng.integers(26)]
    return nondigits.letter(character, folder / f"{TYPEFACES[rng.integers(len(TYPEFACES))]}.ttf")


def _shape(rng: np.random.Generator) -> np.ndarray:
    """Return a heart, a house, a ladder, a fish, a flower or a face."""
    canvas = np.zeros((nondigits.CANVAS, nondigits.CANVAS), np.uint8)
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
    """Return noise of some grain, rays, rings or a brick wall."""
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
    """Measure models/best."""
    classifier = Classifier.load("models/best")
    results: dict[str, object] = {}
    rejected = 0
    for kind in ("empty", *DRAWN):
        answers = [reading.read(classifier, picture) for picture in pictures(kind)]
        rejected += sum(not answer for answer in answers)
        taken = Counter("".join(str(digit.digit) for digit in answer) for answer in answers if answer)
        results[kind] = {
            "pictures": EACH,
            "rejected": sum(not answer for answer in answers),
            "read_as": dict(sorted(taken.items())),
        }
    test = arrays.load(arrays.TEST)
    read = reading.accepted(classifier, *classifier.judge(test.scaled()))
    results["all"] = {"pictures": 4 * EACH, "rejected": rejected}
    results["test"] = {"digits": len(test), "rejected": int((~read).sum())}
    benchmarks.write("rejection", results)
    for name, result in results.items():
        print(name, result)


if __name__ == "__main__":
    main()
