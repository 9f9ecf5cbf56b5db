"""Finding the ink in a picture of something written: which pixels are darker than the paper, or brighter where that is
the ink, and by how much. Shadows, uneven light, grain of the paper and printed lines are not ink.

The paper is a quadratic surface, fitted so that what differs from it does not count; whatever is wider than a stroke
can be (a shadow, a thumb, the table) is taken off next.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.imaging.normalise import FAINTEST

WIDEST = 0.2  # of a stroke, in lengths of the picture's longer side
COARSE = 96  # pixels of the longer side when wide things are looked for
GRAINY = 200  # pixels of the longer side from which the camera's grain is smoothed
SAMPLES = 1_500  # pixels that the paper is fitted to
SETTLED = 5e-4  # change of each coefficient of the paper's surface below which it fits
LINE = 0.85  # length of a printed line at least, in lengths of the picture's side
THICKEST = 0.02  # of such a line, in the same unit
AROUND = np.ones((3, 3), np.uint8)  # pixels that count as connected


@dataclass(frozen=True)
class Ink:
    """What was found in a picture.

    Attributes:
        amount: (height, width) float32, how far each pixel is from the paper, from 0.
        mask: (height, width) bool, what is surely ink.
    """

    amount: np.ndarray
    mask: np.ndarray


def find(grey: np.ndarray) -> Ink:
    """Return the ink in `grey`, (height, width) float32 in [0, 1]."""
    if max(grey.shape) >= GRAINY:
        grey = cv2.GaussianBlur(grey, (3, 3), 0)
    amount, spread = _from_paper(grey)
    amount = _without_wide(amount)
    some = amount[::3, ::3]
    positive = some[some > 0]  # mostly paper where there is any grain, ink alone where there is none
    noise = max(min(1.4826 * float(np.median(positive)), spread) if len(positive) else 0.0, 1 / 255)
    if amount.max() < max(FAINTEST, 4 * noise):
        return Ink(amount, np.zeros(grey.shape, bool))
    sure = max(4 * noise, 0.7 * _otsu(amount[amount > 2 * noise]))
    mask = _grown(amount > sure, amount > max(3 * noise, sure / 2))
    return Ink(amount, _without_lines(mask).astype(bool))


def _from_paper(grey: np.ndarray) -> tuple[np.ndarray, float]:
    """Return by how much each pixel of `grey` is darker than the paper, or brighter where that is the ink, and the
    spread of the paper.
    """
    height, width = grey.shape
    y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    step = max(1, round((height * width / SAMPLES) ** 0.5))
    some_y, some_x = (each.ravel() for each in np.meshgrid(y[::step], x[::step], indexing="ij"))
    terms = np.stack([np.ones_like(some_x), some_x, some_y, some_x**2, some_x * some_y, some_y**2], axis=-1)
    terms, values = terms.astype(np.float64), grey[::step, ::step].ravel().astype(np.float64)
    ridge = 1e-4 * len(values) * np.diag([0, 1, 1, 1, 1, 1])  # a flat paper rather than one that bends into ink

    def fit(weights: np.ndarray) -> np.ndarray:
        weighted = terms * weights[:, None]
        return np.linalg.solve(weighted.T @ terms + ridge, weighted.T @ values)

    above = values - np.median(values)
    for _ in range(5):  # outliers count ever less; which side they are on tells dark ink from bright
        spread = max(1.4826 * float(np.median(np.abs(above))), 1 / 255)
        above = values - terms @ fit(np.clip(1 - (above / (4 * spread)) ** 2, 0, 1) ** 2 + 1e-6)
    strong = 0.4 * np.abs(above).max()
    sign = -1 if -above[above < -strong].sum() >= above[above > strong].sum() else 1
    surface = fit(np.ones(len(values)))
    for _ in range(12):  # ink does not count at all
        paper = -sign * above
        spread = max(1.4826 * float(np.median(paper[paper > 0])) if (paper > 0).any() else 0.0, 1 / 255)
        before, surface = surface, fit(((paper > -2 * spread) & (paper < 4 * spread)) + 1e-6)
        if np.abs(surface - before).max() < SETTLED:
            break
        above = values - terms @ surface
    a, b, c, d, e, f = surface.astype(np.float32)
    paper = (a + b * x + d * x * x)[None] + (c * y + f * y * y)[:, None] + e * y[:, None] * x[None]
    return np.clip(sign * (grey - paper), 0, None), float(spread)


def _without_wide(amount: np.ndarray) -> np.ndarray:
    """Return `amount` less whatever is wider than a stroke."""
    height, width = amount.shape
    factor = min(1.0, COARSE / max(height, width))
    small = cv2.resize(
        amount, (max(1, round(width * factor)), max(1, round(height * factor))), None, 0, 0, cv2.INTER_AREA
    )
    side = max(3, round(WIDEST * max(small.shape)))
    wide = cv2.morphologyEx(small, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    if factor < 1:
        wide = cv2.dilate(wide, AROUND)  # up to its edge, which is blurred by now
    return np.clip(amount - cv2.resize(wide, (width, height), None, 0, 0, cv2.INTER_LINEAR), 0, None)


def _grown(seeds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the connected parts of `mask` that hold a seed, as uint8."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    holds = np.zeros(count, np.uint8)
    holds[labels[seeds]] = 1
    holds[0] = 0
    return holds[labels]


def _without_lines(mask: np.ndarray) -> np.ndarray:
    """Return `mask`, uint8, without straight lines across the whole picture, as on ruled and squared paper."""
    return _without_rules(_without_rules(mask).T.copy()).T


def _without_rules(mask: np.ndarray) -> np.ndarray:
    """Return `mask` without lines from left to right; strokes that cross one are mended."""
    width = mask.shape[1]
    run = width // 10
    if run < 8:  # too few pixels to tell a line from a stroke
        return mask
    runs = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, run), np.uint8))
    if runs.any(axis=0).sum() < LINE * width / 2:
        return mask
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(cv2.dilate(runs, np.ones((3, run), np.uint8)))
    lines, thickest = np.zeros(mask.shape, np.uint8), 0
    for number in np.flatnonzero(boxes[1:count, cv2.CC_STAT_WIDTH] >= LINE * width) + 1:
        line = (labels == number) & (runs > 0)
        thick = int(np.median(line.sum(axis=0)[line.any(axis=0)]))
        if thick <= max(3, THICKEST * width):
            lines |= line
            thickest = max(thickest, thick)
    if not thickest:
        return mask
    rest = mask & (1 - cv2.dilate(lines, np.ones((3, 1), np.uint8)))
    return cv2.morphologyEx(rest, cv2.MORPH_CLOSE, np.ones((2 * (thickest // 2) + 5, 1), np.uint8)) & mask


def _otsu(values: np.ndarray) -> float:
    """Return what divides `values`, none negative, best into two groups. Source: Otsu (1979)."""
    counts, edges = np.histogram(values, 128, range=(0, values.max()))
    middles = (edges[1:] + edges[:-1]) / 2
    below, mass = np.cumsum(counts)[:-1], np.cumsum(counts * middles)[:-1]
    total, whole = counts.sum(), (counts * middles).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (whole * below / total - mass) ** 2 / (below * (total - below))
    return float(middles[np.nan_to_num(between).argmax()])
