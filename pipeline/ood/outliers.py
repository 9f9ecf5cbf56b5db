"""Generated outliers, images that are not digits: letters, scribbles, shapes, textures, and digits that are rotated,
mirrored, or overlap another digit.

Training a detector on them is called outlier exposure: Hendrycks, Mazeika and Dietterich, Deep Anomaly Detection with
Outlier Exposure (2019).
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from digits import normalise
from digits.interface import SIZE

CANVAS = 96  # pixels, before normalisation to 28x28
LETTERS = "ACEFHKMNPRTUVWXYdefhkmnprtuwx#%&@?!*+=$"  # without those that can be read as a digit
FONTS = ("STIXGeneral", "STIXGeneralItalic", "STIXGeneralBol", "cmr10", "cmti10", "cmss10", "cmtt10", "cmb10")
HERSHEY = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
MIRRORED = (3, 4, 6, 7, 9)  # digits whose mirror image is not a digit
ROTATED = (2, 3, 4, 5, 7)  # digits that are not digits after a rotation by 90 degrees

Generator = np.random.Generator


def generate(count: int, images: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Return `count` outliers, (count, 28, 28) uint8, of all kinds in turn.

    Args:
        images: digits (n, 28, 28) uint8, to be mirrored, rotated and combined.
        labels: (n,) of these digits.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    by_digit = [images[labels == digit] for digit in range(10)]
    kinds: tuple[Callable[[Generator], np.ndarray], ...] = (
        _letter,
        _scribble,
        lambda rng: _modified_digit(rng, by_digit),
        _letter,
        _shape,
        lambda rng: _modified_digit(rng, by_digit),
        _texture,
    )
    found = np.empty((count, SIZE, SIZE), np.uint8)
    for number in range(count):
        picture = np.zeros((1, 1), np.uint8)
        while not picture.any():  # a shape beyond the edge
            picture = kinds[number % len(kinds)](rng)
        ink = picture.astype(np.float32) / 255
        if picture.shape != (SIZE, SIZE):
            ink = normalise.normalise(ink, ink > 0.3)
        found[number] = np.round(255 * ink)
    return found


def letter(character: str, font: Path, size: int = 64) -> np.ndarray:
    """Return `character` in the TrueType `font`, (96, 96) uint8."""
    canvas = Image.new("L", (CANVAS, CANVAS))
    typeface = ImageFont.truetype(str(font), size)
    ImageDraw.Draw(canvas).text((CANVAS / 2, CANVAS / 2), character, 255, typeface, anchor="mm")
    return np.asarray(canvas)


def _letter(rng: Generator) -> np.ndarray:
    character = LETTERS[rng.integers(len(LETTERS))]
    if rng.random() < 0.5:
        folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
        picture = letter(character, folder / f"{FONTS[rng.integers(len(FONTS))]}.ttf")
    else:
        picture = np.zeros((CANVAS, CANVAS), np.uint8)
        font, thick = HERSHEY[rng.integers(len(HERSHEY))], int(rng.integers(2, 9))
        (width, height), _ = cv2.getTextSize(character, font, 2.2, thick)
        cv2.putText(
            picture, character, ((CANVAS - width) // 2, (CANVAS + height) // 2), font, 2.2, 255, thick, cv2.LINE_AA
        )
    return _bent(picture, rng)


def _bent(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """Return `picture` slightly rotated, sheared and stretched, as in another handwriting."""
    angle, shear = rng.uniform(-0.25, 0.25), rng.uniform(-0.3, 0.3)
    zoom = rng.uniform(0.7, 1.1, 2)
    matrix = np.array([[np.cos(angle), -np.sin(angle) + shear], [np.sin(angle), np.cos(angle)]]) * zoom
    middle = np.full(2, CANVAS / 2)
    return cv2.warpAffine(picture, np.column_stack([matrix, middle - matrix @ middle]), (CANVAS, CANVAS))


def _whole(points: np.ndarray) -> np.ndarray:
    return np.round(points).astype(np.int32)


def _scribble(rng: Generator) -> np.ndarray:
    """Return one to five curves through random points."""
    picture = np.zeros((CANVAS, CANVAS), np.uint8)
    thick = int(rng.integers(3, 10))
    for _ in range(rng.integers(1, 6)):
        points = rng.uniform(8, CANVAS - 8, (rng.integers(4, 9), 2))
        fine = np.linspace(0, len(points) - 1, 60)
        if rng.random() < 0.6:  # smooth
            curve = np.stack([np.interp(fine, range(len(points)), column) for column in points.T], axis=1)
            curve = cv2.GaussianBlur(curve, (1, 15), 4, borderType=cv2.BORDER_REPLICATE)
        else:
            curve = points
        cv2.polylines(picture, [_whole(curve)], False, 255, thick, cv2.LINE_AA)
    return picture


def _shape(rng: Generator) -> np.ndarray:
    """Return a polygon, a star, a cross, an arrow, a spiral, a blob, or something round with something inside."""
    picture = np.zeros((CANVAS, CANVAS), np.uint8)
    middle, radius, thick = CANVAS / 2, rng.uniform(25, 42), int(rng.integers(3, 9))
    kind, turn = rng.integers(9), rng.uniform(0, 2 * np.pi)
    if kind <= 2:  # polygon, star
        corners = int(rng.integers(3, 5)) if kind < 2 else 2 * int(rng.integers(3, 7))  # a hexagon could be read as 0
        angles = turn + 2 * np.pi * np.arange(corners) / corners + rng.uniform(-0.2, 0.2, corners)
        reach = radius * np.where((kind == 2) & (np.arange(corners) % 2 == 1), 0.45, 1)
        points = middle + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        outline = _whole(points)
        if rng.random() < 0.4:
            cv2.fillPoly(picture, [outline], 255, cv2.LINE_AA)
        else:
            cv2.polylines(picture, [outline], True, 255, thick, cv2.LINE_AA)
    elif kind == 3:  # cross, plus, star of lines
        for angle in turn + np.pi * np.arange(rng.integers(2, 5)) / rng.integers(2, 5):
            reach = radius * np.array([np.cos(angle), np.sin(angle)])
            start, end = (tuple(int(v) for v in np.round(middle + way * reach)) for way in (-1, 1))
            cv2.line(picture, start, end, 255, thick, cv2.LINE_AA)
    elif kind == 4:  # arrow
        reach = radius * np.array([np.cos(turn), np.sin(turn)])
        start, end = (tuple(int(v) for v in np.round(middle + way * reach)) for way in (-1, 1))
        cv2.arrowedLine(picture, start, end, 255, thick, cv2.LINE_AA, tipLength=rng.uniform(0.3, 0.6))
    elif kind == 5:  # spiral, zigzag
        t = np.linspace(0, 1, 100)
        if rng.random() < 0.5:
            angle = turn + t * 2 * np.pi * rng.uniform(2, 4)
            points = middle + radius * t[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        else:
            wave = np.abs((t * rng.integers(3, 6)) % 1 - 0.5) * 2
            points = np.stack([10 + 76 * t, middle + radius * (wave - 0.5)], axis=1)
        cv2.polylines(picture, [_whole(points)], False, 255, min(thick, 5), cv2.LINE_AA)
    elif kind == 6:  # blob, also flat or tall
        axes = tuple(int(v) for v in rng.uniform(12, 42, 2))
        cv2.ellipse(picture, (int(middle), int(middle)), axes, float(np.degrees(turn)), 0, 360, 255, -1, cv2.LINE_AA)
    else:
        across, down = (int(v) for v in rng.uniform(24, 42, 2))
        cv2.ellipse(picture, (int(middle), int(middle)), (across, down), 0, 0, 360, 255, thick, cv2.LINE_AA)
        for _ in range(rng.integers(2, 5)):  # a single one could be the stroke of a slashed 0
            points = middle + rng.uniform(-0.6, 0.6, (rng.integers(2, 4), 2)) * (across, down)
            cv2.polylines(picture, [_whole(points)], False, 255, thick, cv2.LINE_AA)
    return picture


def _modified_digit(rng: Generator, by_digit: list[np.ndarray]) -> np.ndarray:
    """Return a mirrored or rotated digit, or two digits side by side, overlapping, or one above the other."""

    def pick(digits: tuple[int, ...]) -> np.ndarray:
        found = by_digit[digits[rng.integers(len(digits))]]
        return found[rng.integers(len(found))]

    anything, kind = tuple(range(10)), rng.integers(5)
    if kind == 0:
        return np.fliplr(pick(MIRRORED))
    if kind == 1:
        return np.rot90(pick(ROTATED), 1 + 2 * int(rng.integers(2)))
    one, other = pick(anything), pick(anything)
    if kind == 2:  # side by side
        gap = int(rng.integers(-8, 0))
        wide = np.zeros((28, 56 + gap), np.uint8)
        wide[:, :28] = one
        wide[:, 28 + gap :] = np.maximum(wide[:, 28 + gap :], other)
        return wide
    if kind == 3:  # overlapping
        return np.maximum(one, np.roll(other, int(rng.choice([-7, -6, -5, 5, 6, 7])), axis=1))
    return np.vstack([one, other])


def _texture(rng: Generator) -> np.ndarray:
    """Return noise of some grain, stripes, a chequerboard or a grid."""
    kind = rng.integers(4)
    if kind == 0:
        noise = cv2.GaussianBlur(rng.standard_normal((CANVAS, CANVAS)), (0, 0), rng.uniform(0.8, 6))
        picture = np.where(noise > np.quantile(noise, rng.uniform(0.5, 0.9)), 255, 0)
    elif kind == 3:
        y, x = np.mgrid[:CANVAS, :CANVAS] + rng.integers(0, 40, 2)[:, None, None]
        apart, thick = rng.integers(10, 40, 2), rng.integers(2, 6)
        picture = np.where((y % apart[0] < thick) | (x % apart[1] < thick), 255, 0)
    else:
        y, x = np.mgrid[:CANVAS, :CANVAS]
        angle, length = rng.uniform(0, np.pi), rng.uniform(8, 40)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / length)
        if kind == 2:
            wave = wave * np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / length)
        picture = np.where(wave > rng.uniform(-0.2, 0.6), 255, 0)
    return picture.astype(np.uint8)
