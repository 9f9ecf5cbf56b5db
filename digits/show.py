"""Draw an explanation of results: each picture with its boxes, and for each digit the input of the model, the ink on
which its answer depends, and the ten probabilities.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from digits.images import Picture
from digits.interface import SIZE
from digits.model import Classifier
from digits.recognise import Digit

PATCH, STRIDE = 5, 2  # size and stride of the occluding square, in pixels
MIN_HEAT = 0.05  # smallest fall of the probability that is drawn in full colour

# Layout, in pixels
MARGIN = 28
MIN_PANEL = 300  # smallest width of the column of pictures
PICTURE_WIDTH, PICTURE_HEIGHT = 520, 420  # largest size of a picture
CAPTION_WIDTH = 120
COLUMNS = 6  # digits per row
TILE = 5 * SIZE  # side of an enlarged input
GAP = 16
TITLE = 20  # size of the font
HEADER = 36
BARS = 70  # height of a full bar
LABELS = 20  # height of the labels below the bars
CELL_HEIGHT = HEADER + 2 * (TILE + GAP) + BARS + LABELS

WHITE, INK, QUIET, LINE = "#ffffff", "#1e293b", "#64748b", "#e2e8f0"
ACCENT, REST = "#ea580c", "#94a3b8"
HEAT = np.array([234, 88, 12], np.float32)  # ACCENT


def occlusion_sensitivity(classifier: Classifier, digit: Digit) -> np.ndarray:
    """Return (28, 28) float32, the mean fall of the probability of `digit` when a square over each pixel is occluded.

    Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2014).
    """
    starts = range(0, SIZE - PATCH + 1, STRIDE)
    corners = [(y, x) for y in starts for x in starts]
    occluded = np.repeat(digit.image[None, None], len(corners), axis=0)
    for image, (y, x) in zip(occluded, corners, strict=True):
        image[:, y : y + PATCH, x : x + PATCH] = 0
    falls = digit.probability - classifier.predict_proba(occluded)[:, digit.digit]
    total, count = np.zeros((2, SIZE, SIZE), np.float32)
    for fall, (y, x) in zip(falls, corners, strict=True):
        total[y : y + PATCH, x : x + PATCH] += fall
        count[y : y + PATCH, x : x + PATCH] += 1
    return total / np.maximum(count, 1)


def draw_results(results: Sequence[tuple[str, Picture, list[Digit]]], classifier: Classifier, path: Path) -> None:
    """Draw `results` and write them to `path` as a PNG.

    Args:
        results: name, content and digits of each picture; the boxes are in pixels of the file.
        classifier: the model that recognised the digits.
        path: of the file, which is overwritten.
    """
    pictures = [_draw_boxes(picture, digits) for _, picture, digits in results]
    panel = max([MIN_PANEL, *(picture.width for picture in pictures)])
    blocks = [
        _draw_result(_title(name, digits, panel), panel, picture, digits, classifier)
        for (name, _, digits), picture in zip(results, pictures, strict=True)
    ]
    width = max((block.width for block in blocks), default=panel) + 2 * MARGIN
    height = sum(block.height + 2 * MARGIN for block in blocks) or 2 * MARGIN
    canvas = Image.new("RGB", (width, height), WHITE)
    draw = ImageDraw.Draw(canvas)
    top = 0
    for number, block in enumerate(blocks):
        if number:
            draw.line((MARGIN, top, width - MARGIN, top), LINE, 2)
        canvas.paste(block, (MARGIN, top + MARGIN))
        top += block.height + 2 * MARGIN
    canvas.save(path, "PNG")


def _draw_result(
    title: str, panel: int, picture: Image.Image, digits: Sequence[Digit], classifier: Classifier
) -> Image.Image:
    """Draw one picture below its title, in a column `panel` pixels wide, and its digits to the right."""
    rows = -(-len(digits) // COLUMNS)
    columns = min(len(digits), COLUMNS)
    width = panel + (CAPTION_WIDTH + columns * (TILE + GAP) if digits else 0)
    canvas = Image.new("RGB", (width, max(HEADER + picture.height, rows * (CELL_HEIGHT + GAP) - GAP)), WHITE)
    draw = ImageDraw.Draw(canvas)
    draw.text((0, 0), title, INK, _font(TITLE))
    canvas.paste(picture, (0, HEADER))
    for row in range(rows):
        top = row * (CELL_HEIGHT + GAP)
        _draw_captions(draw, panel + CAPTION_WIDTH - GAP, top)
        for column, digit in enumerate(digits[row * COLUMNS : (row + 1) * COLUMNS]):
            left = panel + CAPTION_WIDTH + column * (TILE + GAP)
            _draw_digit(canvas, (left, top), digit, occlusion_sensitivity(classifier, digit))
    return canvas


def _draw_boxes(content: Picture, digits: Sequence[Digit]) -> Image.Image:
    """Draw the picture, scaled to fit, with the boxes of its digits."""
    height, width = content.grey.shape
    scale = min(PICTURE_WIDTH / width, PICTURE_HEIGHT / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST if scale > 3 else cv2.INTER_CUBIC
    scaled = cv2.resize(content.grey, size, interpolation=interpolation)
    picture = _to_image(np.repeat(scaled[..., None], 3, axis=2))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=LINE)
    for digit in digits:
        left, top, right, bottom = (side * scale / content.reduction for side in digit.box)
        draw.rounded_rectangle((left - 4, top - 4, right + 3, bottom + 3), 5, outline=ACCENT, width=3)
    return picture


def _draw_captions(draw: ImageDraw.ImageDraw, right: int, top: int) -> None:
    """Write the captions of a row of digits, aligned to the right."""
    middles = (HEADER + TILE // 2, HEADER + TILE + GAP + TILE // 2, HEADER + 2 * (TILE + GAP) + BARS // 2)
    for middle, caption in zip(middles, ("model\ninput", "occlusion\nsensitivity", "probability"), strict=True):
        draw.text((right, top + middle), caption, QUIET, _font(15), anchor="rm", align="right")


def _draw_digit(canvas: Image.Image, corner: tuple[int, int], digit: Digit, heat: np.ndarray) -> None:
    """Draw the input of the model, the heat map over it, and the probabilities."""
    left, top = corner
    draw = ImageDraw.Draw(canvas)
    draw.text((left, top), str(digit.digit), ACCENT, _font(26))
    draw.text((left + TILE, top + 6), f"{digit.probability:.1%}", INK, _font(18), anchor="ra")
    paper = np.repeat(1 - digit.image[..., None], 3, axis=2)
    strength = np.clip(heat / max(MIN_HEAT, float(heat.max())), 0, 1)[..., None]
    faint = 1 - 0.45 * (1 - paper)
    heated = faint * (1 - 0.85 * strength) + HEAT / 255 * 0.85 * strength
    for tile, offset in ((paper, HEADER), (heated, HEADER + TILE + GAP)):
        canvas.paste(_to_image(tile).resize((TILE, TILE), Image.Resampling.NEAREST), (left, top + offset))
        draw.rectangle((left, top + offset, left + TILE - 1, top + offset + TILE - 1), outline=LINE)
    base = top + HEADER + 2 * (TILE + GAP) + BARS
    for value, probability in enumerate(digit.probabilities):
        start = left + value * TILE // 10
        colour = ACCENT if value == digit.digit else REST
        if height := round(BARS * probability):
            draw.rectangle((start + 2, base - height, start + TILE // 10 - 3, base - 1), colour)
        label = INK if value == digit.digit else QUIET
        draw.text((start + TILE // 20, base + 4), str(value), label, _font(13), anchor="ma")
    draw.line((left, base, left + TILE - 1, base), REST)


def _to_image(values: np.ndarray) -> Image.Image:
    """Return `values`, (height, width, 3) in [0, 1], as an image."""
    return Image.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8))


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _title(name: str, digits: Sequence[Digit], width: int) -> str:
    """Return the name of the picture and its digits, the name shortened if the title is wider than `width` pixels."""
    name, text = Path(name).name, "".join(str(digit.digit) for digit in digits) or "no digits found"
    title, font = f"{name}: {text}", _font(TITLE)
    while font.getlength(title) > width and name:
        name = name[1:]
        title = f"...{name}: {text}"
    return title
