"""Digits of a dataset, drawn anew as the reader would see them in a photo: with other stroke widths and hard edges,
normalised as the reader normalises, or scaled down with thin strokes.
"""

import cv2
import numpy as np

from pipeline.datasets.arrays import LabelledImages
from pipeline.training import strokes

SCALED_DOWN = 0.3  # fraction of the digits that are scaled down, not normalised
MIN_INK = 0.4  # smallest fraction of the ink that must remain when strokes are thinned


def redraw(images: LabelledImages, fraction: float, seed: int) -> LabelledImages:
    """Return `fraction` times as many digits as `images` has, chosen at random and drawn anew."""
    rng = np.random.default_rng(seed)
    chosen = images.at(rng.choice(len(images), round(fraction * len(images)), replace=False))
    return LabelledImages(np.stack([_redrawn(image, rng) for image in chosen.images]), chosen.labels)


def _redrawn(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return `image`, (28, 28) uint8, drawn anew."""
    large = cv2.resize(image, (strokes.CANVAS, strokes.CANVAS), interpolation=cv2.INTER_LINEAR)
    ink: np.ndarray = np.where(large >= rng.integers(80, 180), 255, 0).astype(np.uint8)
    size = int(rng.integers(2, 6))  # pixels of the canvas, three of which are one of the image
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    if rng.random() < 0.6:
        thinner = cv2.erode(ink, pen)
        ink = thinner if int(thinner.sum(dtype=np.int64)) > MIN_INK * int(ink.sum(dtype=np.int64)) else ink
    else:
        ink = cv2.dilate(ink, pen)
    if not ink.any():
        return image
    return strokes.scaled_down(ink, rng) if rng.random() < SCALED_DOWN else strokes.normalised(ink)
