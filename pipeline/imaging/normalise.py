"""Making a picture of one digit look like MNIST: ink bright on dark, in a box of 20x20 pixels, its centre of mass in
the middle of 28x28. Source of that form: LeCun et al. (1998), as described at http://yann.lecun.com/exdb/mnist/."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy.ndimage import shift

from pipeline.errors import InputError

SIZE, BOX = 28, 20
INK = 0.35  # of the brightest ink: what is fainter does not count for the box around the digit


def read(path: Path) -> np.ndarray:
    """Return the picture at `path` as grey values (height, width) float32 in [0, 1], upright, transparency on white.

    Raises:
        InputError: no such file, or no picture that Pillow can read.
    """
    try:
        with Image.open(path) as image:
            upright = _eight_bits(ImageOps.exif_transpose(image)).convert("RGBA")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected an image file, found a directory.") from None
    except UnidentifiedImageError:
        found = "an empty file" if path.stat().st_size == 0 else "something else"
        raise InputError(f"{path}: expected an image such as PNG or JPEG, found {found}.") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: expected a whole image of a sensible size, found a broken one ({error}).") from None
    white = Image.new("RGBA", upright.size, "white")
    grey = Image.alpha_composite(white, upright).convert("L")
    return np.asarray(grey, np.float32) / 255


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return `image` with values from 0 to 255; Pillow would cut off what is above in 16 bits, integers or floats."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, np.float64)
    values = values - values.min()
    return Image.fromarray((values * 255 / (values.max() or 1)).astype(np.uint8))


def normalise(grey: np.ndarray) -> np.ndarray:
    """Return the digit in `grey` (height, width) float32 in [0, 1] as a model reads it: (28, 28) float32 in [0, 1].

    What is at the edge is taken for paper. A picture of 28x28 pixels keeps its place and size.
    """
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.clip(np.abs(grey - np.median(edge)), 0, 1)
    if ink.max() == 0:
        return np.zeros((SIZE, SIZE), np.float32)
    ink /= ink.max()
    return ink if ink.shape == (SIZE, SIZE) else _centred(_fitted(ink))


def _fitted(ink: np.ndarray) -> np.ndarray:
    """Return the part with ink, scaled so that its longer side has BOX pixels."""
    rows, columns = np.flatnonzero((ink > INK).any(axis=1)), np.flatnonzero((ink > INK).any(axis=0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * BOX / max(cut.shape))) for side in cut.shape)
    scaled = Image.fromarray(cut).resize((width, height), Image.Resampling.LANCZOS)
    return np.clip(np.asarray(scaled), 0, 1)


def _centred(digit: np.ndarray) -> np.ndarray:
    """Return (28, 28) with the centre of mass of `digit` in the middle."""
    canvas = np.zeros((SIZE, SIZE), np.float32)
    top, left = ((SIZE - side) // 2 for side in digit.shape)
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    centre = [np.average(np.arange(SIZE), weights=canvas.sum(axis=axis)) for axis in (1, 0)]
    # Whole pixels: they move the digit and leave its strokes as they are.
    return np.asarray(shift(canvas, np.round((SIZE - 1) / 2 - np.array(centre)), order=0))
