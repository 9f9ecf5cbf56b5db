"""Fixtures that need the reader only, and pictures to read."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from digits.model import Classifier

ROOT = Path(__file__).parents[2]

# The strokes of each digit, in a box of width 1 and height 1.5.
STROKES = {
    0: [[(0.5, 0), (0.1, 0.3), (0.05, 0.8), (0.2, 1.3), (0.5, 1.5), (0.8, 1.3), (0.95, 0.8), (0.9, 0.3), (0.5, 0)]],
    1: [[(0.3, 0.3), (0.55, 0), (0.55, 1.5)]],
    2: [[(0.1, 0.3), (0.3, 0.05), (0.7, 0.05), (0.85, 0.35), (0.6, 0.8), (0.1, 1.45), (0.9, 1.45)]],
    3: [[(0.1, 0.1), (0.8, 0.1), (0.45, 0.65), (0.8, 0.85), (0.85, 1.2), (0.5, 1.5), (0.1, 1.35)]],
    4: [[(0.6, 0), (0.1, 0.95), (0.95, 0.95)], [(0.65, 0.5), (0.65, 1.5)]],
    5: [[(0.85, 0.05), (0.2, 0.05), (0.15, 0.65), (0.6, 0.6), (0.85, 0.95), (0.6, 1.4), (0.1, 1.4)]],
    6: [[(0.7, 0), (0.3, 0.5), (0.1, 1.0), (0.3, 1.45), (0.7, 1.4), (0.8, 1.05), (0.5, 0.8), (0.15, 1.0)]],
    7: [[(0.1, 0.05), (0.9, 0.05), (0.4, 1.5)]],
    8: [[(0.5, 0.7), (0.15, 0.35), (0.5, 0), (0.85, 0.35), (0.5, 0.7), (0.1, 1.1), (0.5, 1.5), (0.9, 1.1), (0.5, 0.7)]],
    9: [[(0.8, 0.35), (0.5, 0), (0.15, 0.35), (0.45, 0.7), (0.8, 0.4), (0.75, 1.5)]],
}


def draw_text(text: str, height: int = 60, gap: float = 0.6, size: tuple[int, int] = (200, 700)) -> np.ndarray:
    """Return the digits `text` drawn on unevenly lit paper, (height, width) float32 in [0, 1]."""
    canvas, scale, left = np.zeros(size, np.uint8), height / 1.5, 40.0
    for digit in map(int, text):
        for stroke in STROKES[digit]:
            points = np.round(np.array(stroke) * scale + (left, 70)).astype(np.int32)
            cv2.polylines(canvas, [points], False, 255, max(2, height // 12), cv2.LINE_AA)
        left += scale * (1 + gap)
    light = np.linspace(0.9, 0.6, size[1])[None] * np.linspace(1, 0.8, size[0])[:, None]
    return (light * (1 - 0.8 * canvas / 255)).astype(np.float32)


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    """Return the shipped model."""
    return Classifier.load(ROOT / "models/best")


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Return scikit-learn's 1,797 digits in the form of MNIST, (1797, 28, 28) uint8."""
    small = (load_digits().images * 255 / 16).round().astype(np.uint8)
    return np.stack([np.pad(cv2.resize(image, (20, 20), interpolation=cv2.INTER_LINEAR), 4) for image in small])
