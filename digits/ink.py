"""Find the ink in a picture of handwriting: which pixels are darker than the paper (or brighter, for bright ink on dark
paper), and by how much.

`find` is for photos and pages: shadows, uneven light, paper grain and printed lines are not ink. The paper is modelled
as a quadratic surface, fitted robustly to the picture and subtracted. Regions wider than any stroke (shadows, fingers,
the table) are removed next. `find_on_uniform_paper` is for crops, in which strokes may be wide and there may be little
paper: it compares with one threshold.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from digits.normalise import MIN_CONTRAST

MAX_STROKE_WIDTH = 0.2  # relative to the longer side of the picture
BACKGROUND_SIDE = 96  # longer side in pixels of the reduced picture in which wide regions are found
MIN_WIDE = 1 / 255  # smallest difference of such a region from the paper
MIN_SIDE_TO_SMOOTH = 200  # smallest longer side in pixels of pictures that are smoothed against camera noise
FIT_SAMPLES = 1_500  # pixels to which the paper is fitted
FIT_TOLERANCE = 5e-4  # the fit has converged when no coefficient changes by more
MIN_LINE_LENGTH = 0.85  # share of the width in which a horizontal line is ink
MIN_THIN = 0.35  # share of the width in which it is thin, since no stroke crosses it
MAX_LINE_THICKNESS = 0.02  # relative to the longer side of the picture
MAX_LINE_SLOPE = 0.06  # of printed lines; 3.4 degrees
MAX_PAPER_STD = (
    0.2  # std of uniform paper, relative to the contrast of the ink; more if one threshold halves a gradient
)
MIN_FRAME_HEIGHT = 0.1  # relative to the height of the picture
MIN_FRAME_CONTENT = 0.4  # smallest height of what a frame encloses, relative to its own
MAX_FRAME_THICKNESS = 0.12  # of the lines of a frame, relative to its height
MAX_FRAMES = 500  # components that may be frames; bounds the work
MAX_FRAME_AREA = 4.0  # of all frames together, relative to the picture; exceeded only by nested frames; bounds the work
SLOPES = sorted(np.linspace(-MAX_LINE_SLOPE, MAX_LINE_SLOPE, 13), key=abs)  # that are tried
MIN_SIDE_WITH_LINES = 80  # in smaller pictures, a line cannot be distinguished from a stroke
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

    def inverted(self) -> "Ink":
        """Return ink and paper exchanged, for ink found on uniform paper."""
        return Ink(self.amount.max() - self.amount, ~self.mask)


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
    weak = amount > 3 * noise
    lines = find_frames(weak)
    if not lines.any() and min(grey.shape) >= MIN_SIDE_WITH_LINES:
        lines = find_lines(weak, MAX_LINE_THICKNESS * max(grey.shape))
    amount[lines] = 0
    if amount.max() <= 4 * noise:  # there were only lines
        return Ink(amount, np.zeros(grey.shape, bool))
    threshold = max(4 * noise, 0.7 * _otsu_threshold(amount[amount > 2 * noise]))
    mask = _grow(amount > threshold, amount > max(3 * noise, threshold / 2))
    return Ink(amount, mask.astype(bool))


def find_on_uniform_paper(grey: np.ndarray) -> Ink:
    """Return the ink in `grey`, (height, width) float32 in [0, 1], on paper of uniform brightness."""
    mask = mask_on_uniform_paper(grey)
    if not mask.any():
        return Ink(np.zeros_like(grey), mask)
    paper = np.median(grey[~mask])
    sign = 1 if grey[mask].min() > paper else -1
    return Ink(np.clip(sign * (grey - paper), 0, None).astype(np.float32), mask)


def mask_on_uniform_paper(grey: np.ndarray) -> np.ndarray:
    """Return which pixels of `grey`, (height, width) float32 in [0, 1], are ink on paper of uniform brightness.

    The paper is what most pixels at the edge of the picture belong to. Ink may touch the edge.
    """
    darkest, range_ = float(grey.min()), float(np.ptp(grey))
    if range_ < MIN_CONTRAST:
        return np.zeros(grey.shape, bool)
    step = max(1, max(grey.shape) // BACKGROUND_SIDE)
    bright: np.ndarray = grey - darkest > _otsu_threshold(grey[::step, ::step].ravel() - darkest)
    edge = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    return bright if edge.mean() < 0.5 else ~bright


def is_uniform(grey: np.ndarray, mask: np.ndarray) -> bool:
    """Return whether the paper of `grey`, (height, width) float32, varies little compared with the ink in `mask`.

    The light may fall off linearly: a plane is fitted to the paper and subtracted.
    """
    step = max(1, max(grey.shape) // BACKGROUND_SIDE)
    grey, mask = grey[::step, ::step], mask[::step, ::step]
    if mask.all() or not mask.any():
        return False
    y, x = np.indices(grey.shape)
    terms = np.stack([np.ones_like(x), x, y], axis=-1).astype(np.float64)
    plane = np.linalg.lstsq(terms[~mask], grey[~mask].astype(np.float64), rcond=None)[0]
    residual = grey - terms @ plane
    contrast = abs(float(residual[mask].mean()))
    return contrast >= MIN_CONTRAST and float(residual[~mask].std()) <= MAX_PAPER_STD * contrast


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
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    inside = np.ones((round(0.7 * side),) * 2, np.uint8)  # fits into the element, and is eroded much faster
    if cv2.erode(small, inside).max() < MIN_WIDE:
        return amount
    wide = cv2.morphologyEx(small, cv2.MORPH_OPEN, element)
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


def components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the connected components of `mask`, (height, width) bool.

    Returns:
        The label of each pixel, (height, width) int32, from 1 on, and 0 where there is no ink; and the boxes of the n
        components, (n, 4) int32: left, top, width, height.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        mask.astype(np.uint8), 8, cv2.CV_32S, cv2.CCL_GRANA
    )
    return labels, stats[1:, :4]


def find_frames(mask: np.ndarray) -> np.ndarray:
    """Return which pixels of `mask`, (height, width) bool, belong to the lines of frames and forms.

    A frame is a connected component whose four sides are drawn, around something that is as high as a digit would be.
    """
    lines = np.zeros(mask.shape, bool)
    labels, boxes = components(mask)
    numbers = np.flatnonzero(boxes[:, 3] >= MIN_FRAME_CONTENT * MIN_FRAME_HEIGHT * len(mask))
    left, top, width, height = boxes[numbers].T
    area = 0
    for index in np.flatnonzero(height >= MIN_FRAME_HEIGHT * len(mask))[:MAX_FRAMES]:
        x, y, across, down = left[index], top[index], width[index], height[index]
        inside = (left > x) & (top > y) & (left + width < x + across) & (top + height < y + down)
        if (height[inside] >= MIN_FRAME_CONTENT * down).any():
            area += int(across * down)
            if area > MAX_FRAME_AREA * mask.size:
                break
            region = np.s_[y : y + down, x : x + across]
            component = labels[region] == numbers[index] + 1
            if all(_side_is_drawn(np.rot90(component, turns)) for turns in range(4)):
                lines[region] |= find_lines(component, MAX_FRAME_THICKNESS * down)
    return lines


def _side_is_drawn(mask: np.ndarray) -> bool:
    """Return whether there is ink along the upper side of `mask`."""
    return bool(mask[: len(mask) // 8 + 1].any(axis=0).mean() >= MIN_LINE_LENGTH)


def find_lines(mask: np.ndarray, max_thickness: float) -> np.ndarray:
    """Return which pixels of `mask`, (height, width) bool, belong to straight lines across its width or its height.

    Lines are at most `max_thickness` pixels thick, or 3. Strokes that cross them are left complete.
    """
    max_thickness = max(3, max_thickness)
    across, down = _find_horizontal_lines(mask, max_thickness), _find_horizontal_lines(mask.T, max_thickness).T
    if not across.any() and not down.any():
        return across
    reach = 2 * round(max_thickness) + 1
    near_across = cv2.dilate(across.astype(np.uint8), np.ones((1, reach), np.uint8)) > 0
    near_down = cv2.dilate(down.astype(np.uint8), np.ones((reach, 1), np.uint8)) > 0
    return across | down | (mask & near_across & near_down)


def _find_horizontal_lines(mask: np.ndarray, max_thickness: float) -> np.ndarray:
    """Return which pixels of `mask` belong to almost horizontal lines across its width."""
    height, width = mask.shape
    lines = np.zeros(mask.shape, bool)
    if mask.any(axis=0).mean() < MIN_LINE_LENGTH:
        return lines
    padded = np.zeros((width, height + 2), np.int8)
    padded[:, 1:-1] = mask.T
    steps = np.diff(padded)
    columns, starts = np.nonzero(steps == 1)  # of the vertical runs of ink
    ends = np.nonzero(steps == -1)[1]
    thin = ends - starts <= max_thickness
    columns, starts, ends = columns[thin], starts[thin], ends[thin]
    if len(columns) < MIN_THIN * width:
        return lines
    best: np.ndarray = np.zeros(len(columns), bool)
    across = np.arange(width)
    middles, offsets = (starts + ends - 1) / 2, columns - width / 2
    thick = cv2.dilate(mask.astype(np.uint8), np.ones((3, 1), np.uint8))  # a line may be up to 1 pixel off
    for slope in SLOPES:
        rows = np.round(middles - slope * offsets).astype(int)
        first = rows.min()
        counts = np.convolve(np.bincount(rows - first, minlength=3), [1, 1, 1], "same")  # of rows up to 1 pixel away
        thin_rows = np.flatnonzero(counts >= MIN_THIN * width)
        paths = np.round((thin_rows + first)[:, None] + slope * (across - width / 2)).astype(int).clip(0, height - 1)
        is_line = np.zeros(len(counts), np.uint8)
        is_line[thin_rows[thick[paths, across].mean(axis=1) >= MIN_LINE_LENGTH]] = 1
        on_line = cv2.dilate(is_line, np.ones(3, np.uint8)).ravel().astype(bool)[rows - first]
        if on_line.sum() > best.sum():
            best = on_line
        if best.all():
            break
    steps = np.zeros((height + 1, width), np.int8)  # 1 where a run of the line starts, -1 after its end
    steps[starts[best], columns[best]] = 1
    steps[ends[best], columns[best]] -= 1
    return np.cumsum(steps[:-1], axis=0, dtype=np.int8).astype(bool)


def _otsu_threshold(values: np.ndarray) -> float:
    """Return Otsu's threshold (1979) of `values`, which are not negative."""
    counts, edges = np.histogram(values, 128, range=(0, values.max()))
    centres = (edges[1:] + edges[:-1]) / 2
    below, mass = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    total, whole = counts.sum(), (counts * centres).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (whole * below / total - mass) ** 2 / (below * (total - below))
    return float(centres[np.nan_to_num(between).argmax()])
