"""Picture files, and bytes that claim to be one, to grey values."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # of files; the service allows fewer
MOST_PIXELS = 100_000_000  # of a file; the service allows fewer
BROKEN = (  # what Pillow raises of broken pictures and their EXIF
    OSError,
    ValueError,
    SyntaxError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def read(path: Path) -> np.ndarray:
    """Return the picture in the file `path`, see `decode`.

    Raises:
        InputError: no such file, or no picture that can be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected an image file, found a directory.") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    return decode(content, str(path))


def decode(
    content: bytes, name: str = "image", formats: tuple[str, ...] = FORMATS, most_pixels: int = MOST_PIXELS
) -> np.ndarray:
    """Return the picture in `content` as grey values (height, width) float32 in [0, 1]: upright, transparency on white,
    the first frame.

    Args:
        content: of a picture file.
        name: what messages call it.
        formats: Pillow's names of the formats that are allowed; no other decoder is tried.
        most_pixels: checked before anything is decoded.

    Raises:
        InputError: it is no picture in one of these formats, is broken or too large.
    """
    found = "an empty file" if not content else "something else"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=formats) as image:
                if image.width * image.height > most_pixels:
                    raise InputError(
                        f"{name}: expected at most {most_pixels:,} pixels, found {image.width}x{image.height}."
                    )
                upright = _eight_bits(ImageOps.exif_transpose(image)).convert("RGBA")
    except UnidentifiedImageError:
        raise InputError(f"{name}: expected an image ({', '.join(formats)}), found {found}.") from None
    except BROKEN as error:
        raise InputError(f"{name}: expected a whole image of a sensible size, found a broken one ({error}).") from None
    white = Image.new("RGBA", upright.size, "white")
    grey = Image.alpha_composite(white, upright).convert("L")
    return np.asarray(grey, np.float32) / 255


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return `image` with values from 0 to 255; Pillow would cut off what is above in 16 bits, integers or floats."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, np.float64))
    values = values - values.min()
    return Image.fromarray((values * 255 / (values.max() or 1)).astype(np.uint8))
