"""Find the ink in a picture of handwriting: which pixels are darker than the paper (or brighter, for bright ink on dark
paper), and by how much. Shadows, uneven light, paper grain and printed lines are not ink.

The paper is modelled as a quadratic surface, fitted robustly to the picture and subtracted. Regions wider than any
stroke (shadows, fingers, the table) are removed next.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from digits.normalise import MIN_CONTRAST

MAX_STROKE_WIDTH = 0.2  # relative to the longer side of the picture
BACKGROUND_SIDE = 96  # longer side in pixels of the reduced picture in which wide regions are found
MIN_SIDE_TO_SMOOTH = 200  # smallest longer side in pixels of pictures that are smoothed against camera noise
FIT_SAMPLES = 1_500  # pixels to which the paper is fitted
FIT_TOLERANCE = 5e-4  # the fit has converged when no coefficient changes by more
MIN_LINE_LENGTH = 0.85  # relative to the side of the picture
MAX_LINE_THICKNESS = 0.02  # in the same unit
NEIGHBOURHOOD = np.ones((3, 3), np.uint8)  # 8-connected


@dataclass(frozen=True)
class Ink:
    """The ink of a picture.

    Attributes:
        amount: (height, width) float32, difference of each pixel from the paper, at least 0.
        mask: (height, width) bool, the pixels that are ink.
    """

    amount: np.ndarray
    mask: np.ndarray


def find(grey: np.ndarray) -> Ink:
    """Return the ink in `grey`, (height, width) float32 in [0, 1]."""
    if max(grey.shape) >= MIN_SIDE_TO_SMOOTH:
        grey = cv2.GaussianBlur(grey, (3, 3), 0)
    amount, std = _subtract_paper(grey)
    amount = _remove_wide(amount)
    sample = amount[::3, ::3]
    positive = sample[sample > 0]  # mostly paper if it has grain, otherwise only ink
    noise = max(min(1.4826 * float(np.median(positive)), std) if len(positive) else 0.0, 1 / 255)
    if amount.max() < max(MIN_CONTRAST, 4 * noise):
        return Ink(amount, np.zeros(grey.shape, bool))
    threshold = max(4 * noise, 0.7 * _otsu_threshold(amount[amount > 2 * noise]))
    mask = _grow(amount > threshold, amount > max(3 * noise, threshold / 2))
    return Ink(amount, _remove_lines(mask).astype(bool))


def _subtract_paper(grey: np.ndarray) -> tuple[np.ndarray, float]:
    """Return by how much each pixel of `grey` differs from the paper towards the ink, and the std of the paper.

    Whether the ink is dark or bright is decided by the side on which the outliers of the fit have more weight.
    """
    height, width = grey.shape
    y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    step = max(1, round((height * width / FIT_SAMPLES) ** 0.5))
    some_y, some_x = (each.ravel() for each in np.meshgrid(y[::step], x[::step], indexing="ij"))
    terms = np.stack([np.ones_like(some_x), some_x, some_y, some_x**2, some_x * some_y, some_y**2], axis=-1)
    terms, values = terms.astype(np.float64), grey[::step, ::step].ravel().astype(np.float64)
    ridge = 1e-4 * len(values) * np.diag([0, 1, 1, 1, 1, 1])  # prefers a flat surface

    def fit(weights: np.ndarray) -> np.ndarray:
        weighted = terms * weights[:, None]
        return np.linalg.solve(weighted.T @ terms + ridge, weighted.T @ values)

    residual = values - np.median(values)
    for _ in range(5):  # iteratively reweighted least squares (Tukey's biweight)
        std = max(1.4826 * float(np.median(np.abs(residual))), 1 / 255)
        residual = values - terms @ fit(np.clip(1 - (residual / (4 * std)) ** 2, 0, 1) ** 2 + 1e-6)
    strong = 0.4 * np.abs(residual).max()
    sign = -1 if -residual[residual < -strong].sum() >= residual[residual > strong].sum() else 1
    surface = fit(np.ones(len(values)))
    for _ in range(12):  # refit without the ink
        paper = -sign * residual
        std = max(1.4826 * float(np.median(paper[paper > 0])) if (paper > 0).any() else 0.0, 1 / 255)
        previous, surface = surface, fit(((paper > -2 * std) & (paper < 4 * std)) + 1e-6)
        if np.abs(surface - previous).max() < FIT_TOLERANCE:
            break
        residual = values - terms @ surface
    a, b, c, d, e, f = surface.astype(np.float32)
    paper = (a + b * x + d * x * x)[None] + (c * y + f * y * y)[:, None] + e * y[:, None] * x[None]
    return np.clip(sign * (grey - paper), 0, None), float(std)


def _remove_wide(amount: np.ndarray) -> np.ndarray:
    """Subtract regions that are wider than a stroke."""
    height, width = amount.shape
    factor = min(1.0, BACKGROUND_SIDE / max(height, width))
    small = cv2.resize(
        amount, (max(1, round(width * factor)), max(1, round(height * factor))), None, 0, 0, cv2.INTER_AREA
    )
    side = max(3, round(MAX_STROKE_WIDTH * max(small.shape)))
    wide = cv2.morphologyEx(small, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    if factor < 1:
        wide = cv2.dilate(wide, NEIGHBOURHOOD)  # includes the edge, which the reduction blurred
    return np.clip(amount - cv2.resize(wide, (width, height), None, 0, 0, cv2.INTER_LINEAR), 0, None)


def _grow(seeds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the connected components of `mask` that contain a seed, as uint8 (hysteresis thresholding)."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    holds = np.zeros(count, np.uint8)
    holds[labels[seeds]] = 1
    holds[0] = 0
    return holds[labels]


def _remove_lines(mask: np.ndarray) -> np.ndarray:
    """Remove the lines of ruled and squared paper from `mask`, uint8."""
    return _remove_horizontal_lines(_remove_horizontal_lines(mask).T.copy()).T


def _remove_horizontal_lines(mask: np.ndarray) -> np.ndarray:
    """Remove horizontal lines across the whole picture, and close the gaps in strokes that cross them."""
    width = mask.shape[1]
    length = width // 10
    if length < 8:  # too small to distinguish a line from a stroke
        return mask
    runs = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    if runs.any(axis=0).sum() < MIN_LINE_LENGTH * width / 2:
        return mask
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(cv2.dilate(runs, np.ones((3, length), np.uint8)))
    lines, max_thickness = np.zeros(mask.shape, np.uint8), 0
    for number in np.flatnonzero(boxes[1:count, cv2.CC_STAT_WIDTH] >= MIN_LINE_LENGTH * width) + 1:
        line = (labels == number) & (runs > 0)
        thickness = int(np.median(line.sum(axis=0)[line.any(axis=0)]))
        if thickness <= max(3, MAX_LINE_THICKNESS * width):
            lines |= line
            max_thickness = max(max_thickness, thickness)
    if not max_thickness:
        return mask
    rest = mask & (1 - cv2.dilate(lines, np.ones((3, 1), np.uint8)))
    return cv2.morphologyEx(rest, cv2.MORPH_CLOSE, np.ones((2 * (max_thickness // 2) + 5, 1), np.uint8)) & mask


def _otsu_threshold(values: np.ndarray) -> float:
    """Return Otsu's threshold (1979) of `values`, which are not negative."""
    counts, edges = np.histogram(values, 128, range=(0, values.max()))
    centres = (edges[1:] + edges[:-1]) / 2
    below, mass = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    total, whole = counts.sum(), (counts * centres).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (whole * below / total - mass) ** 2 / (below * (total - below))
    return float(centres[np.nan_to_num(between).argmax()])
