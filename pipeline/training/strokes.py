"""Strokes of a pen: curves, their deformation as handwriting varies, and their drawing.

A drawing is a list of strokes, each an array (points, 2) float64 of x (to the right) and y (down) in any unit. Points
are computed in float64 and rounded to fixed-point numbers before they are drawn, so that all CPUs give the same images.
"""

import cv2
import numpy as np

from digits import normalise
from digits.interface import SIZE

CANVAS = 84  # height and width of the canvas in pixels, three times as large as a normalised image
BOX = 58  # longer side of a drawing on the canvas, in pixels
FRACTION = 4  # binary digits after the point of coordinates
INK = 0.3  # a pixel of at least this brightness belongs to the drawing
SPACING = 0.05  # largest distance of neighbouring points, relative to the longer side of the drawing
WAVES = 3  # waves of which a smooth displacement is the sum

Strokes = list[np.ndarray]

_STEPS = np.arange(8)[:, None] / 8
_CATMULL_ROM = np.hstack(
    [
        -0.5 * _STEPS + _STEPS**2 - 0.5 * _STEPS**3,
        1 - 2.5 * _STEPS**2 + 1.5 * _STEPS**3,
        0.5 * _STEPS + 2 * _STEPS**2 - 1.5 * _STEPS**3,
        -0.5 * _STEPS**2 + 0.5 * _STEPS**3,
    ]
)


def spline(points: np.ndarray) -> np.ndarray:
    """Return a smooth curve through `points`, (n, 2), as a polyline of 8 (n - 1) + 1 points: a Catmull-Rom spline."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    pieces = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]], axis=1)  # (n - 1, 4, 2)
    return np.concatenate([(_CATMULL_ROM @ pieces).reshape(-1, 2), points[-1:]])


def arc(centre: tuple[float, float], radii: tuple[float, float], start: float, turn: float) -> np.ndarray:
    """Return an arc of an ellipse.

    Args:
        start: angle in radians; 0 is to the right, pi / 2 down.
        turn: angle that the arc spans, in radians; positive is clockwise.
    """
    angles = start + turn * np.linspace(0, 1, 4 + round(5 * abs(turn)))
    return np.asarray(centre) + np.asarray(radii) * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def joined(*strokes: np.ndarray) -> np.ndarray:
    """Return `strokes` as one; each is moved to the end of the one before it."""
    found = [strokes[0]]
    for stroke in strokes[1:]:
        found.append(stroke[1:] + found[-1][-1] - stroke[0])
    return np.concatenate(found)


def bounds(strokes: Strokes) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest x and y of `strokes`."""
    points = np.concatenate(strokes)
    return points.min(axis=0), points.max(axis=0)


def to_box(strokes: Strokes) -> Strokes:
    """Return `strokes` centred at (0, 0), with a longer side of 1."""
    low, high = bounds(strokes)
    size = max(float((high - low).max()), 1e-6)
    return [(stroke - (low + high) / 2) / size for stroke in strokes]


def resample(stroke: np.ndarray, spacing: float = SPACING) -> np.ndarray:
    """Return `stroke` with points added, so that neighbours are at most `spacing` apart."""
    lengths = np.hypot(*np.diff(stroke, axis=0).T)
    along = np.concatenate([[0], np.cumsum(lengths)])
    if along[-1] <= spacing:
        return stroke
    wanted = np.sort(np.concatenate([along, np.arange(spacing, along[-1], spacing)]))
    return np.stack([np.interp(wanted, along, stroke[:, 0]), np.interp(wanted, along, stroke[:, 1])], axis=1)


def deform(
    strokes: Strokes,
    rng: np.random.Generator,
    *,
    rotation: float = 15,
    shear: float = 0.3,
    aspect: float = 0.25,
    bend: float = 0.02,
    ends: float = 0.04,
) -> Strokes:
    """Return `strokes` as if written again by somebody else: centred at (0, 0), with a longer side of about 1.

    Args:
        rotation: largest rotation, in degrees.
        shear: largest shear, x per y.
        aspect: largest change of the ratio of width to height, as a logarithm.
        bend: std of a smooth random displacement, relative to the longer side.
        ends: std of the displacement of the ends of open strokes, relative to the longer side.
    """
    strokes = [resample(stroke) for stroke in to_box(strokes)]
    if ends:
        strokes = [_move_ends(stroke, ends * rng.standard_normal((2, 2))) for stroke in strokes]
    points = np.concatenate(strokes)
    frequencies = rng.uniform(-1, 1, (WAVES, 2, 2)) * 2 * np.pi  # up to one wave per side
    phases = rng.uniform(0, 2 * np.pi, (WAVES, 2))
    amplitudes = bend * np.sqrt(2 / WAVES) * rng.standard_normal((WAVES, 2)) * np.sqrt(2)
    waves = np.sin(
        points[:, 0, None, None] * frequencies[..., 0] + points[:, 1, None, None] * frequencies[..., 1] + phases
    )
    points = points + (amplitudes * waves).sum(axis=1)
    angle, slant = np.radians(rng.uniform(-rotation, rotation)), rng.uniform(-shear, shear)
    stretch = np.exp(rng.uniform(-aspect, aspect) / 2)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = matrix @ [[stretch, slant / stretch], [0, 1 / stretch]]
    x, y = points[:, 0], points[:, 1]
    points = np.stack([matrix[0, 0] * x + matrix[0, 1] * y, matrix[1, 0] * x + matrix[1, 1] * y], axis=1)
    return np.split(points, np.cumsum([len(stroke) for stroke in strokes])[:-1])


def _move_ends(stroke: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Return an open `stroke` with its ends moved, and the points near them moved less."""
    count = len(stroke)
    if count < 3 or np.abs(stroke[0] - stroke[-1]).max() < 0.05:
        return stroke
    reach = min(6, count // 2)
    fade = np.zeros((count, 1))
    fade[:reach, 0] = 1 - np.arange(reach) / reach
    return stroke + fade * moves[0] + fade[::-1] * moves[1]


def draw(
    strokes: Strokes,
    width: float,
    rng: np.random.Generator | None = None,
    *,
    pressure: float = 0.0,
    box: float = BOX,
    offset: tuple[float, float] = (0, 0),
) -> np.ndarray:
    """Return a picture of `strokes`, scaled to the box and centred, (84, 84) uint8, bright ink on dark.

    Args:
        width: of the strokes, relative to the longer side of the drawing.
        rng: random numbers, for the pressure.
        pressure: largest relative change of the width along a stroke.
        box: longer side of the drawing, in pixels.
        offset: of the drawing's centre from the canvas's, x and y in pixels.
    """
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    centre = (CANVAS - 1) / 2 + np.asarray(offset)
    pixels = [fixed_point(box * stroke + centre) for stroke in to_box(strokes)]
    thickness = max(1, round(width * box))
    if not pressure or rng is None or thickness < 3:
        cv2.polylines(canvas, pixels, False, 255, thickness, cv2.LINE_AA, FRACTION)
        return canvas
    phase, frequency = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.5)
    piece = 4  # points
    for number, stroke in enumerate(pixels):
        for start in range(0, max(1, len(stroke) - 1), piece):
            change = pressure * np.sin(phase + frequency * (start + 7 * number))
            pen = max(1, round(thickness * (1 + change)))
            cv2.polylines(canvas, [stroke[start : start + piece + 1]], False, 255, pen, cv2.LINE_AA, FRACTION)
    return canvas


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Return coordinates in pixels as OpenCV's fixed-point numbers with FRACTION binary digits after the point."""
    return np.floor(points * 2**FRACTION + 0.5).astype(np.int32)


def normalised(picture: np.ndarray) -> np.ndarray:
    """Return `picture`, uint8, as the reader normalises a digit in a photo: (28, 28) uint8."""
    ink = picture.astype(np.float32) / 255
    return to_uint8(normalise.normalise(ink, ink >= INK))


def reduced(picture: np.ndarray) -> np.ndarray:
    """Return `picture`, (84, 84) uint8, as a small picture of everything that is on the canvas: (28, 28) uint8."""
    factor = CANVAS // SIZE
    return to_uint8(picture.reshape(SIZE, factor, SIZE, factor).mean(axis=(1, 3)) / 255)


def scaled_down(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return `picture`, (84, 84) uint8, with a margin of random size, as a small picture: (28, 28) uint8.

    Strokes keep their relative width, unlike those of normalised digits, which are never thin.
    """
    margin = int(rng.integers(-6, 8))
    inner = CANVAS - 2 * margin
    shifted = np.roll(picture, rng.integers(-4, 5, 2), axis=(0, 1))
    resized = shifted[margin : margin + inner, margin : margin + inner] if margin > 0 else np.pad(shifted, -margin)
    small = cv2.resize(resized, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.6:
        small = to_uint8(small / max(int(small.max()), 64))
    return small


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Return `image`, floats in [0, 1], as uint8; the tolerance is far above the last bits, which differ by CPU."""
    return np.floor(np.clip(image.astype(np.float64), 0, 1) * 255 + 0.5 + 1e-4).astype(np.uint8)
