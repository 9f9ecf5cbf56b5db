"""From the body of a request to the content of one picture. Nothing is decoded here."""

import asyncio
import io
from typing import Any

from PIL import Image, UnidentifiedImageError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import create_form_parser, parse_options_header

from digits.images import PILLOW_ERRORS
from digits.server.limits import FORMATS, Limits, RefusedError

Receive = Any  # ASGI: an async function without arguments that returns the next message
FIELD = b"file"
MAX_OVERRUN = (
    4  # a body that is too large is received up to this multiple of the limit, so that its sender sees the answer
)


async def receive_body(receive: Receive, limits: Limits) -> bytes:
    """Return the whole body of a request. Its size is counted on arrival, whatever the headers say.

    Raises:
        RefusedError: the body is too large, too slow or incomplete.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.timeout):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError(400, "expected a complete body, found a closed connection.")
                size += len(message.get("body", b""))
                if size > limits.max_bytes:
                    chunks.clear()
                else:
                    chunks.append(message.get("body", b""))
                if not message.get("more_body", False) or size > MAX_OVERRUN * limits.max_bytes:
                    break
    except TimeoutError:
        text = f"expected the whole body within {limits.timeout:g} seconds, found {size:,} bytes."
        raise RefusedError(400, text) from None
    if size > limits.max_bytes:
        raise RefusedError(413, f"expected at most {limits.max_bytes:,} bytes, found more. Send a smaller picture.")
    return b"".join(chunks)


def extract_picture(content_type: str, body: bytes) -> bytes:
    """Return the content of the picture in a body: the body itself, or the field `file` of a form.

    Raises:
        RefusedError: the body is of another type, or an invalid form.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        return _extract_field(content_type, options, body)
    if kind and not kind.startswith(b"image/") and kind != b"application/octet-stream":
        raise RefusedError(415, f"expected image/... or multipart/form-data, found {kind.decode('latin-1')}.")
    return body


def _extract_field(content_type: str, options: dict[bytes, bytes], body: bytes) -> bytes:
    if not options.get(b"boundary"):
        raise RefusedError(400, "expected a boundary in the type of multipart/form-data, found none.")
    found: list[bytes] = []

    def on_file(part: Any) -> None:
        if part.field_name == FIELD:
            part.file_object.seek(0)
            found.append(part.file_object.read())
        part.close()

    settings: Any = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}  # keeps all parts in memory; the body is bounded already
    try:
        parser = create_form_parser({"Content-Type": content_type.encode("latin-1")}, None, on_file, config=settings)
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise RefusedError(400, f"expected multipart/form-data, found something else ({error}).") from None
    if len(found) != 1:
        raise RefusedError(422, f"expected one file in the field `{FIELD.decode()}`, found {len(found)}.")
    return found[0]


def count_pixels(content: bytes, limits: Limits) -> int:
    """Return the number of pixels of a picture, according to its header.

    Raises:
        RefusedError: the picture is empty, not in an allowed format, too large or animated.
    """
    if not content:
        raise RefusedError(422, "expected a picture, found an empty file.")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height, frames = image.width, image.height, getattr(image, "n_frames", 1)
    except UnidentifiedImageError:
        raise RefusedError(415, f"expected a picture ({', '.join(FORMATS)}), found something else.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise RefusedError(413, f"expected at most {limits.max_pixels:,} pixels, found many more.") from None
    except PILLOW_ERRORS as error:
        raise RefusedError(422, f"expected a valid picture, found a broken one ({error}).") from None
    if width * height > limits.max_pixels:
        raise RefusedError(413, f"expected at most {limits.max_pixels:,} pixels, found {width}x{height}.")
    if frames != 1:
        raise RefusedError(422, f"expected one frame, found an animation of {frames}.")
    return width * height
