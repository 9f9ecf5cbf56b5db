"""Normalise a digit as in MNIST: bright ink on dark, scaled to fit 20x20 pixels, centred by its centre of mass in 28x28
pixels, with strokes at least as wide as MNIST's.

Source: LeCun et al. (1998), as described at http://yann.lecun.com/exdb/mnist/.
"""

import cv2
import numpy as np

from digits.interface import SIZE

BOX_SIZE = 20  # longer side of a normalised digit, in pixels
MIN_STROKE_WIDTH = 0.12  # relative to the longer side of the digit; typical of MNIST
EDGE_SOFTNESS = 0.15  # ink up to this counts as none and from 1 minus this as full, which makes edges steeper
MIN_CONTRAST = 0.05  # smallest contrast of ink, relative to the range from black to white


def already_normalised(grey: np.ndarray) -> np.ndarray | None:
    """Return `grey` as bright ink on dark, (28, 28) float32 in [0, 1], if it is normalised already; otherwise None.

    A normalised image has 28x28 pixels, a uniform border, and ink in a centred box of about 20x20 pixels.

    Args:
        grey: (height, width) float32 in [0, 1].
    """
    if grey.shape != (SIZE, SIZE):
        return None
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(edge))
    if np.ptp(edge) > 0.1 or ink.max() < MIN_CONTRAST:
        return None
    ink = ink / ink.max()
    rows, columns = bounding_box(ink > 0.2)
    offset = max(abs((side[0] + side[-1]) / 2 - (SIZE - 1) / 2) for side in (rows, columns))
    fits = BOX_SIZE - 2 <= max(len(rows), len(columns)) <= BOX_SIZE + 2 and offset <= 4
    return np.asarray(ink, np.float32) if fits else None


def normalise(amount: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a digit as the input of a model, (28, 28) float32 in [0, 1].

    Args:
        amount: (height, width) float32, amount of ink per pixel on any scale.
        mask: (height, width) bool, the pixels that belong to the digit.
    """
    margin = 2  # keeps the soft edges of strokes
    amount, mask = np.pad(amount, margin), np.pad(mask, margin)
    near = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), iterations=margin)
    strong = np.clip(amount * near / max(float(np.quantile(amount[mask], 0.7)), 1e-3), 0, 1)
    steep = np.clip((strong - EDGE_SOFTNESS) / (1 - 2 * EDGE_SOFTNESS), 0, 1)  # keeps narrow gaps open
    return _centre(_fit_to_box(_thicken(steep, mask)))


def bounding_box(mask: np.ndarray) -> tuple[range, range]:
    """Return the rows and the columns of the bounding box of `mask`."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return range(rows[0], rows[-1] + 1), range(columns[0], columns[-1] + 1)


def _thicken(ink: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Dilate strokes that are thinner than MIN_STROKE_WIDTH."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    inside = np.sqrt(np.rint(inside**2))  # squared distances are integers; OpenCV's last bits vary from call to call
    middle = inside[(inside == cv2.dilate(inside, np.ones((3, 3), np.uint8))) & (inside > 0)]
    grow = round(MIN_STROKE_WIDTH * max(map(len, bounding_box(mask))) - (2 * float(middle.mean()) - 0.5))
    if grow < 1:
        return ink
    y, x = np.mgrid[-(grow // 2) : grow // 2 + 1, -(grow // 2) : grow // 2 + 1]
    return cv2.dilate(np.pad(ink, grow), (y * y + x * x <= grow * grow / 4 + 0.25).astype(np.uint8))


def _fit_to_box(ink: np.ndarray) -> np.ndarray:
    """Crop `ink` to its bounding box and scale the longer side to BOX_SIZE pixels."""
    rows, columns = bounding_box(ink > 0.5 * ink.max())
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * BOX_SIZE / max(cropped.shape))) for side in cropped.shape)
    interpolation = cv2.INTER_AREA if max(cropped.shape) > BOX_SIZE else cv2.INTER_LINEAR
    scaled = cv2.resize(cropped, (width, height), None, 0, 0, interpolation)
    return np.clip(scaled / max(float(np.quantile(scaled, 0.97)), 0.3), 0, 1)


def _centre(digit: np.ndarray) -> np.ndarray:
    """Place `digit` in (28, 28) with its centre of mass in the middle, rounded to whole pixels."""
    canvas = np.zeros((SIZE, SIZE), np.float32)
    for axis in (0, 1):
        mass = digit.sum(axis=1 - axis)
        centre = float((mass * np.arange(len(mass))).sum() / mass.sum())
        start = round((SIZE - 1) / 2 - centre)
        if axis == 0:
            top = min(max(start, 0), SIZE - len(mass))
        else:
            left = min(max(start, 0), SIZE - len(mass))
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return canvas
