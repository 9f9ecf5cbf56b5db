"""Measurements of a digit's ink: stroke width, slant and size.

Images are (n, 28, 28) uint8, bright ink on dark. Every function returns (n,) float64, and 0 for an image without ink.
"""

import numpy as np

INK_THRESHOLD = 128  # smallest brightness of a pixel inside the bounding box
BATCH = 1_000  # images processed at a time; bounds memory


def stroke_width(images: np.ndarray) -> np.ndarray:
    """Return the mean stroke width in pixels: twice the area of the ink divided by the length of its outline.

    The outline of a long thin stroke is twice as long as the stroke. The area is the sum of the brightness and the
    length of the outline is its total variation, which makes the result independent of how bright the ink is.
    """
    widths = np.zeros(len(images))
    for start in range(0, len(images), BATCH):
        ink = np.pad(images[start : start + BATCH].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
        across, down = np.diff(ink, axis=2), np.diff(ink, axis=1)
        across, down = (across[:, 1:] + across[:, :-1]) / 2, (down[:, :, 1:] + down[:, :, :-1]) / 2
        outline = np.hypot(across, down).sum(axis=(1, 2))
        area = ink.sum(axis=(1, 2))
        widths[start : start + BATCH] = np.divide(2 * area, outline, where=outline > 0, out=np.zeros(len(ink)))
    return widths


def slant(images: np.ndarray) -> np.ndarray:
    """Return the slant in degrees, positive to the right of vertical, from the second moments of the ink."""
    y, x = np.indices(images.shape[1:]).reshape(2, -1).astype(np.float64)
    terms = np.stack([np.ones_like(x), x, y, x * y, y * y], axis=1)
    sums = [images[start : start + BATCH].reshape(-1, len(x)) @ terms for start in range(0, len(images), BATCH)]
    ink, x_, y_, xy, yy = np.concatenate([np.empty((0, 5)), *sums]).T
    ink = np.maximum(ink, 1)
    horizontal, vertical = xy / ink - x_ * y_ / ink**2, yy / ink - (y_ / ink) ** 2
    return np.degrees(np.arctan2(-horizontal, vertical))


def size(images: np.ndarray) -> np.ndarray:
    """Return the area in pixels of the bounding box of the ink. The longer side of nearly all of MNIST's is 20."""
    ink = images >= INK_THRESHOLD
    height, width = (_extent(np.any(ink, axis=axis)) for axis in (2, 1))
    return (height * width).astype(np.float64)


def _extent(mask: np.ndarray) -> np.ndarray:
    """Return (n,) the length from the first to the last true value in each row of `mask`, (n, width)."""
    last = mask.shape[1] - mask[:, ::-1].argmax(axis=1)
    return np.where(mask.any(axis=1), last - mask.argmax(axis=1), 0)


MEASUREMENTS = {"stroke_width": stroke_width, "slant": slant, "size": size}


def thirds(images: np.ndarray) -> dict[str, list[float]]:
    """Return the terciles of each measurement on `images`: two values, rounded to two decimals."""
    return {
        name: np.quantile(measure(images), [1 / 3, 2 / 3]).round(2).tolist() for name, measure in MEASUREMENTS.items()
    }
