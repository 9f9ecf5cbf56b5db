"""Load picture files, or their content, as grey values.

Memory is bounded: a picture is decoded once, in the mode of its file, and converted in bands. Large pictures are shrunk
by a power of two on the way, JPEG files while they are decoded. The reader looks at 1,280 pixels at most.
"""

import io
import logging
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from digits.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # Pillow's names; the service allows fewer
MAX_PIXELS = 100_000_000  # the service allows fewer
MAX_PIXELS_OF = {"WEBP": 25_000_000}  # Pillow needs four times as much memory per pixel as for other formats
MAX_BYTES = 500_000_000  # of a pipe, which is read into memory
FULL_SIZE = 4_000_000  # pixels; a picture is shrunk by the largest power of two that leaves as many
BAND = 1_000_000  # pixels that are converted at a time
PILLOW_ERRORS = (  # raised for broken images and broken EXIF data
    OSError,
    ValueError,
    SyntaxError,
    struct.error,
    Image.DecompressionBombError,
    Warning,  # only where warnings are errors
)
ORIENTATIONS = {  # values of the EXIF tag
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are exclusive
Located = TypeVar("Located", bound=Any)  # a dataclass with a `box`


@dataclass(frozen=True)
class Picture:
    """The content of a picture file.

    Attributes:
        grey: (height, width) float32 in [0, 1].
        size: width and height of the picture in the file, in pixels.
        reduction: by which both sides were shrunk, a power of two; 1 for pictures of less than 4 * FULL_SIZE pixels.
    """

    grey: np.ndarray
    size: tuple[int, int]
    reduction: int

    def in_file(self, found: list[Located]) -> list[Located]:
        """Return `found`, whose boxes are in pixels of `grey`, with boxes in pixels of the picture in the file."""
        return found if self.reduction == 1 else [replace(each, box=self._enlarge(each.box)) for each in found]

    def _enlarge(self, box: Box) -> Box:
        left, top, right, bottom = (self.reduction * side for side in box)
        return left, top, min(right, self.size[0]), min(bottom, self.size[1])


def load_image(path: str | Path) -> np.ndarray:
    """Load the image file at `path` as grey values, (height, width) float32 in [0, 1]. See `decode`.

    Pictures of 16 million pixels or more are shrunk; `load_picture` also tells by how much.

    Raises:
        InputError: there is no such file, or it is not an image that can be read.
    """
    return load_picture(path).grey


def load_picture(path: str | Path) -> Picture:
    """Load the image file at `path`. See `decode`.

    Raises:
        InputError: there is no such file, or it is not an image that can be read.
    """
    try:
        with Path(path).open("rb") as file:
            return decode(file, str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected an image file, found a directory.") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None


def decode(
    content: bytes | IO[bytes],
    name: str = "image",
    formats: tuple[str, ...] = FORMATS,
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Decode an image file to grey values.

    EXIF orientation is applied, transparent pixels become white, and only the first frame is read.

    Args:
        content: of the file, or the open file; a pipe is read to its end.
        name: of the image in error messages.
        formats: Pillow's names of the allowed formats; no other decoder is tried.
        max_pixels: checked before anything is decoded; less for WebP, see MAX_PIXELS_OF.

    Raises:
        InputError: the content is not an image in one of the formats, is broken or has too many pixels.
    """
    found = "something else"
    try:
        file = _seekable(content, name)
        found = found if file.seek(0, io.SEEK_END) else "an empty file"
        with Image.open(file, formats=formats) as image:
            limit = min(max_pixels, MAX_PIXELS_OF.get(str(image.format), max_pixels))
            if image.width * image.height > limit:
                raise InputError(f"{name}: expected at most {limit:,} pixels, found {image.width}x{image.height}.")
            (width, height), reduction = image.size, _reduction(image.width * image.height)
            if reduction > 1:
                image.draft("L", (width // reduction, height // reduction))  # of JPEG only
            image.load()
            grey = _grey(image, reduction // round(width / image.width))
            orientation = image.getexif().get(ExifTags.Base.Orientation)
    except UnidentifiedImageError:
        raise InputError(f"{name}: expected an image ({', '.join(formats)}), found {found}.") from None
    except PILLOW_ERRORS as error:
        raise InputError(f"{name}: expected a valid image, found a broken one ({error}).") from None
    if orientation in ORIENTATIONS:
        grey = grey.transpose(ORIENTATIONS[orientation])
        width, height = (width, height) if orientation < 5 else (height, width)
    values = np.array(grey, np.float32)
    values /= 255
    return Picture(values, (width, height), reduction)


def silence_pillow() -> None:
    """Drop Pillow's warnings and log messages in this process: a broken picture is reported by its InputError.

    For commands, at their start. `warnings.catch_warnings` around each picture is not safe with threads.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)


def _seekable(content: bytes | IO[bytes], name: str) -> IO[bytes]:
    """Return `content` as a file that Pillow can read."""
    if not isinstance(content, bytes) and content.seekable():
        return content
    if not isinstance(content, bytes):
        content = content.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"{name}: expected at most {MAX_BYTES:,} bytes, found more.")
    return io.BytesIO(content)


def _reduction(pixels: int) -> int:
    """Return the largest power of two by which the sides of a picture can be divided to leave FULL_SIZE pixels."""
    reduction = 1
    while pixels >= (2 * reduction) ** 2 * FULL_SIZE:
        reduction *= 2
    return reduction


def _grey(image: Image.Image, reduction: int) -> Image.Image:
    """Return `image` as 8-bit grey values on white, its sides divided by `reduction`."""
    darkest, brightest = _range(image) if image.mode.startswith(("I", "F")) else (0.0, 255.0)
    grey = Image.new("L", (-(-image.width // reduction), -(-image.height // reduction)))
    for top, band in _bands(image, reduction):
        if image.mode.startswith(("I", "F")):
            values = (_values(band) - darkest) * 255 / (brightest - darkest or 1)
            band = Image.fromarray(values.astype(np.uint8))
        grey.paste(_on_white(band).reduce(reduction), (0, top // reduction))
    return grey


def _bands(image: Image.Image, multiple: int) -> Iterator[tuple[int, Image.Image]]:
    """Yield the first row and the content of each band of about BAND pixels, its height a multiple of `multiple`."""
    rows = multiple * max(1, BAND // (multiple * image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _range(image: Image.Image) -> tuple[float, float]:
    """Return the smallest and the largest value. Pillow would clip those of 16-bit, integer and float images to 255."""
    ends = [(values.min(), values.max()) for values in (_values(band) for _, band in _bands(image, 1))]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _values(image: Image.Image) -> np.ndarray:
    """Return the values of an integer or float image, (height, width) float64. NaN becomes 0."""
    return np.nan_to_num(np.asarray(image)).astype(np.float64)


def _on_white(image: Image.Image) -> Image.Image:
    """Return `image` as 8-bit grey values, on white where it is transparent."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image.convert("L")
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("L")
