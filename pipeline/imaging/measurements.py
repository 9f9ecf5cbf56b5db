"""What can be measured of the ink of a digit: how wide its strokes are, how it leans, how much room it takes.

Images are (n, 28, 28) uint8, ink bright on dark; every function returns (n,) float64, and 0 for an image without ink.
"""

import numpy as np

INK = 128  # brightness from which a pixel belongs to the box around the ink
MANY = 1_000  # images at a time, to bound memory


def stroke_width(images: np.ndarray) -> np.ndarray:
    """Return the mean width of the strokes in pixels: twice the area of the ink over the length of its outline.

    A stroke much longer than wide has an outline of twice its length. Area is the sum of brightness and outline the sum
    of its slopes (the total variation), so that soft edges count for what they are and faint ink is no thinner.
    """
    widths = np.zeros(len(images))
    for start in range(0, len(images), MANY):
        ink = np.pad(images[start : start + MANY].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
        across, down = np.diff(ink, axis=2), np.diff(ink, axis=1)
        across, down = (across[:, 1:] + across[:, :-1]) / 2, (down[:, :, 1:] + down[:, :, :-1]) / 2
        outline = np.hypot(across, down).sum(axis=(1, 2))
        area = ink.sum(axis=(1, 2))
        widths[start : start + MANY] = np.divide(2 * area, outline, where=outline > 0, out=np.zeros(len(ink)))
    return widths


def slant(images: np.ndarray) -> np.ndarray:
    """Return by how many degrees the ink leans to the right of upright, from its second moments."""
    y, x = np.indices(images.shape[1:]).reshape(2, -1).astype(np.float64)
    terms = np.stack([np.ones_like(x), x, y, x * y, y * y], axis=1)
    sums = [images[start : start + MANY].reshape(-1, len(x)) @ terms for start in range(0, len(images), MANY)]
    ink, x_, y_, xy, yy = np.concatenate([np.empty((0, 5)), *sums]).T
    ink = np.maximum(ink, 1)
    across, upright = xy / ink - x_ * y_ / ink**2, yy / ink - (y_ / ink) ** 2
    return np.degrees(np.arctan2(-across, upright))


def size(images: np.ndarray) -> np.ndarray:
    """Return the area in pixels of the upright box around the ink, of which MNIST's longer side is nearly always 20."""
    ink = images >= INK
    height, width = (_extent(np.any(ink, axis=axis)) for axis in (2, 1))
    return (height * width).astype(np.float64)


def _extent(mask: np.ndarray) -> np.ndarray:
    """Return (n,) how many places lie from the first to the last that is true in each row of `mask` (n, places)."""
    last = mask.shape[1] - mask[:, ::-1].argmax(axis=1)
    return np.where(mask.any(axis=1), last - mask.argmax(axis=1), 0)


MEASUREMENTS = {"stroke_width": stroke_width, "slant": slant, "size": size}


def thirds(images: np.ndarray) -> dict[str, list[float]]:
    """Return the two values of each measurement that divide `images` into three parts of equal number; two decimals."""
    return {
        name: np.quantile(measure(images), [1 / 3, 2 / 3]).round(2).tolist() for name, measure in MEASUREMENTS.items()
    }
