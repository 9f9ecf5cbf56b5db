"""Load picture files, or their content, as grey values."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from digits.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow's names; the service allows fewer
MAX_PIXELS = 100_000_000  # the service allows fewer
PILLOW_ERRORS = (  # raised for broken images and broken EXIF data
    OSError,
    ValueError,
    SyntaxError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def load_image(path: str | Path) -> np.ndarray:
    """Load the image file at `path` as grey values, (height, width) float32 in [0, 1]. See `decode`.

    Raises:
        InputError: there is no such file, or it is not an image that can be read.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected an image file, found a directory.") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    return decode(content, str(path))


def decode(
    content: bytes, name: str = "image", formats: tuple[str, ...] = FORMATS, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode the content of an image file to grey values, (height, width) float32 in [0, 1].

    EXIF orientation is applied, transparent pixels become white, and only the first frame is read.

    Args:
        content: of the file.
        name: of the image in error messages.
        formats: Pillow's names of the allowed formats; no other decoder is tried.
        max_pixels: checked before anything is decoded.

    Raises:
        InputError: the content is not an image in one of the formats, is broken or has too many pixels.
    """
    found = "an empty file" if not content else "something else"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=formats) as image:
                if image.width * image.height > max_pixels:
                    raise InputError(
                        f"{name}: expected at most {max_pixels:,} pixels, found {image.width}x{image.height}."
                    )
                upright = _eight_bits(ImageOps.exif_transpose(image)).convert("RGBA")
    except UnidentifiedImageError:
        raise InputError(f"{name}: expected an image ({', '.join(formats)}), found {found}.") from None
    except PILLOW_ERRORS as error:
        raise InputError(f"{name}: expected a valid image, found a broken one ({error}).") from None
    white = Image.new("RGBA", upright.size, "white")
    grey = Image.alpha_composite(white, upright).convert("L")
    return np.asarray(grey, np.float32) / 255


def _eight_bits(image: Image.Image) -> Image.Image:
    """Rescale 16-bit, integer and float images to 0..255, since Pillow would clip larger values."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, np.float64))
    values = values - values.min()
    return Image.fromarray((values * 255 / (values.max() or 1)).astype(np.uint8))
