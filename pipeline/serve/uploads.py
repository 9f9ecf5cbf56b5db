"""From a request's body to the bytes of one picture; nothing is decoded here."""

import asyncio
import io
import warnings
from typing import Any

from PIL import Image, UnidentifiedImageError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import create_form_parser, parse_options_header

from pipeline.serve.limits import FORMATS, Limits, RefusedError

Receive = Any  # ASGI: an async function without arguments that returns the next message
FIELD = b"file"
PATIENCE = 4  # a body that is too large is read on to so many times its limit, so that its sender hears the answer


async def body(receive: Receive, limits: Limits) -> bytes:
    """Return the whole body of a request, counted as it comes, whatever its headers say.

    Raises:
        RefusedError: it is too large, too slow or not whole.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError(400, "expected a whole body, found a closed connection.")
                size += len(message.get("body", b""))
                if size > limits.size:
                    chunks.clear()
                else:
                    chunks.append(message.get("body", b""))
                if not message.get("more_body", False) or size > PATIENCE * limits.size:
                    break
    except TimeoutError:
        raise RefusedError(
            400, f"expected the whole body within {limits.seconds:g} seconds, found {size:,} bytes."
        ) from None
    if size > limits.size:
        raise RefusedError(413, f"expected at most {limits.size:,} bytes, found more. Send a smaller picture.")
    return b"".join(chunks)


def picture(content_type: str, content: bytes) -> bytes:
    """Return the picture in a body: all of it, or the field `file` of a form.

    Raises:
        RefusedError: it is said to be something else, or the form cannot be read.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        return _field(content_type, options, content)
    if kind and not kind.startswith(b"image/") and kind != b"application/octet-stream":
        raise RefusedError(415, f"expected image/... or multipart/form-data, found {kind.decode('latin-1')}.")
    return content


def _field(content_type: str, options: dict[bytes, bytes], content: bytes) -> bytes:
    if not options.get(b"boundary"):
        raise RefusedError(400, "expected a boundary in the type of multipart/form-data, found none.")
    found: list[bytes] = []

    def on_file(part: Any) -> None:
        if part.field_name == FIELD:
            part.file_object.seek(0)
            found.append(part.file_object.read())
        part.close()

    # The body is bounded already: no part of it need go to the disk.
    settings: Any = {"MAX_MEMORY_FILE_SIZE": len(content) + 1}
    try:
        parser = create_form_parser({"Content-Type": content_type.encode("latin-1")}, None, on_file, config=settings)
        parser.write(content)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise RefusedError(400, f"expected multipart/form-data, found something else ({error}).") from None
    if len(found) != 1:
        raise RefusedError(422, f"expected one file in the field `{FIELD.decode()}`, found {len(found)}.")
    return found[0]


def pixels(content: bytes, limits: Limits) -> int:
    """Return how many pixels the header of a picture announces.

    Raises:
        RefusedError: it is empty, of a format that is not allowed, too large, or has several frames.
    """
    if not content:
        raise RefusedError(422, "expected a picture, found an empty file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # ours is the smaller limit
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height, frames = image.width, image.height, getattr(image, "n_frames", 1)
    except UnidentifiedImageError:
        raise RefusedError(415, f"expected a picture ({', '.join(FORMATS)}), found something else.") from None
    except Image.DecompressionBombError:
        raise RefusedError(413, f"expected at most {limits.pixels:,} pixels, found many more.") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise RefusedError(422, f"expected a whole picture, found a broken one ({error}).") from None
    if width * height > limits.pixels:
        raise RefusedError(413, f"expected at most {limits.pixels:,} pixels, found {width}x{height}.")
    if frames != 1:
        raise RefusedError(422, f"expected one frame, found an animation of {frames}.")
    return width * height
