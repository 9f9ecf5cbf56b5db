"""Outliers that are no drawings: textures, clothes-like silhouettes, patches like those of photos, and blanks.

Each function returns an image that is fed to a model as it is, (28, 28) uint8.
"""

import cv2
import numpy as np

from digits.interface import SIZE
from pipeline.training import strokes
from pipeline.training.strokes import CANVAS, FRACTION, fixed_point, spline, to_uint8

Generator = np.random.Generator

_WIDE = 32  # of a noise field before it is cropped
_FREQUENCIES = np.hypot(np.fft.fftfreq(_WIDE)[:, None], np.fft.rfftfreq(_WIDE)) + 1 / _WIDE


def noise(rng: Generator, exponent: float) -> np.ndarray:
    """Return noise with a spectrum of 1 / frequency ** exponent, (28, 28), with mean 0 and std 1."""
    white = np.fft.rfft2(rng.standard_normal((_WIDE, _WIDE)))
    field = np.fft.irfft2(white / _FREQUENCIES**exponent, (_WIDE, _WIDE))[:SIZE, :SIZE]
    return (field - field.mean()) / field.std()


def _grid(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates along and across a random direction, in pixels."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    angle = rng.uniform(0, np.pi) if rng.random() < 0.6 else rng.choice([0, np.pi / 2])
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def texture(rng: Generator) -> np.ndarray:
    """Return noise of some grain, stripes, checks, a grid, dots or blobs, binary or grey."""
    kind = rng.integers(6)
    along, across = _grid(rng)
    period = rng.uniform(2.5, 14)
    phases = rng.uniform(0, 2 * np.pi, 2)
    wave, other = (np.sin(2 * np.pi * way / period + phase) for way, phase in zip((along, across), phases, strict=True))
    if kind == 0:
        values = noise(rng, rng.uniform(0, 2.5))
    elif kind == 1:
        values = wave + rng.uniform(0, 0.5) * noise(rng, 1)
    elif kind == 2:
        values = wave * other
    elif kind == 3:  # a grid, or dots where it is inverted
        values = np.maximum(wave, other) * rng.choice([-1, 1])
    elif kind == 4:
        values = wave + np.sin(2 * np.pi * across / rng.uniform(2.5, 14)) + rng.uniform(0, 0.7) * noise(rng, 1)
    else:  # blobs
        values = noise(rng, rng.uniform(2, 4))
    if rng.random() < 0.5:
        values = values > np.quantile(values, rng.uniform(0.2, 0.9))
        return to_uint8(values * rng.uniform(0.4, 1))
    return _graded(values, rng)


def _graded(values: np.ndarray, rng: Generator) -> np.ndarray:
    """Return `values` as grey levels with a random brightness and contrast."""
    low, high = np.sort(rng.uniform(0, 1, 2)) if rng.random() < 0.4 else (0, 1)
    if high - low < 0.15:
        low, high = 0, 1
    scaled = (values - values.min()) / max(float(np.ptp(values)), 1e-6)
    return to_uint8(low + (high - low) * scaled ** np.exp(rng.uniform(-0.7, 0.7)))


def patch(rng: Generator) -> np.ndarray:
    """Return a patch like those of photos: surfaces with edges between them, shading, and natural texture."""
    values = 0.3 * noise(rng, rng.uniform(1, 2)) * rng.uniform(0.1, 1)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    for _ in range(rng.integers(0, 6)):
        centre, angle = rng.uniform(-0.6, 0.6, 2), rng.uniform(0, 2 * np.pi)
        across = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        along = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
        kind = rng.integers(4)
        if kind == 0:  # a half plane
            distance = across + rng.uniform(-1, 1) * along**2
        elif kind == 1:  # a band
            distance = np.abs(across) - rng.uniform(0.03, 0.2)
        elif kind == 2:
            distance = np.hypot(across / rng.uniform(0.3, 1.5), along) - rng.uniform(0.1, 0.5)
        else:
            distance = np.maximum(np.abs(across), np.abs(along) / rng.uniform(0.4, 2)) - rng.uniform(0.1, 0.4)
        inside = np.clip(0.5 - distance * SIZE / rng.uniform(1, 4), 0, 1)
        surface = (
            rng.uniform(-1, 1) + rng.uniform(-1, 1) * across + rng.uniform(0, 0.3) * noise(rng, rng.uniform(0.5, 2))
        )
        values = values + inside * (surface - values)
    values = values + rng.uniform(-0.7, 0.7) * x + rng.uniform(-0.7, 0.7) * y
    return _graded(values, rng)


def silhouette(rng: Generator) -> np.ndarray:
    """Return a filled shape with shading and texture, like a piece of clothing, a shoe or a bag."""
    draw = (_garment, _garment, _trousers, _shoe, _sandal, _bag, _blob)[rng.integers(7)]
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    polygons, open_lines = draw(rng)
    size = rng.uniform(60, CANVAS)
    low, high = strokes.bounds(polygons + open_lines)
    scale, middle = size / (high - low).max(), (low + high) / 2

    def place(points: np.ndarray) -> np.ndarray:
        return fixed_point((points - middle) * scale + (CANVAS - 1) / 2)

    for polygon in polygons:
        cv2.fillPoly(canvas, [place(polygon)], 255, cv2.LINE_AA, FRACTION)
    for line in open_lines:
        cv2.polylines(canvas, [place(line)], False, 255, int(rng.integers(3, 8)), cv2.LINE_AA, FRACTION)
    shape = strokes.reduced(canvas) / 255
    along, across = _grid(rng)
    values = rng.uniform(0.35, 1) + rng.uniform(0, 0.25) * noise(rng, rng.uniform(0, 1.5))
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    values = values + rng.uniform(-0.5, 0.5) * x + rng.uniform(-0.5, 0.5) * y + rng.uniform(-1, 0.5) * x**2
    if rng.random() < 0.3:
        values = values + rng.uniform(0.1, 0.4) * np.sin(2 * np.pi * along / rng.uniform(2, 8) + rng.uniform(0, 6))
    if rng.random() < 0.3:  # a print, a seam or an opening
        inner = (np.abs(along) < rng.uniform(0.5, 6)) & (np.abs(across) < rng.uniform(3, 14))
        values = np.where(inner, values + rng.uniform(-0.6, 0.6), values)
    return to_uint8(shape * np.clip(values, 0.05, 1))


def _mirrored(side: np.ndarray) -> np.ndarray:
    """Return a closed outline that is symmetrical, of its right `side` from top to bottom."""
    return np.concatenate([side, (side * [-1, 1])[::-1]])


def _garment(rng: Generator) -> tuple[strokes.Strokes, strokes.Strokes]:
    """Return a shirt, pullover, coat or dress: polygons to fill, and lines to draw."""
    neck, shoulder, chest, waist = (rng.uniform(*each) for each in ((0.1, 0.25), (0.35, 0.5), (0.3, 0.5), (0.2, 0.5)))
    hem, length = waist * rng.uniform(0.9, 2), rng.uniform(1, 3)
    body = np.array([[neck, 0], [shoulder, 0.1], [chest, 0.45], [waist, 0.6 * length], [hem, length]])
    polygons = [_mirrored(np.concatenate([body[:2], spline(body[2:])]))]
    if rng.random() < 0.65:  # sleeves
        reach, drop, cuff = rng.uniform(0.1, 0.5), rng.uniform(0.2, 1.3), rng.uniform(0.1, 0.25)
        hand = np.array([shoulder + reach, 0.1 + drop])
        sleeve = np.array([[shoulder, 0.08], hand, hand - [cuff, -0.05], [chest, 0.5]])
        polygons += [sleeve, sleeve * [-1, 1]]
    return polygons, []


def _trousers(rng: Generator) -> tuple[strokes.Strokes, strokes.Strokes]:
    waist, hip, cuff, gap = (
        rng.uniform(0.25, 0.4),
        rng.uniform(0.3, 0.45),
        rng.uniform(0.12, 0.35),
        rng.uniform(0, 0.12),
    )
    length, crotch = rng.uniform(0.8, 2.8), rng.uniform(0.45, 0.6)
    leg = np.array([[0, 0], [waist, 0], [hip, 0.4], [gap + cuff, length], [gap, length], [0.02, crotch]])
    return [leg, leg * [-1, 1]], []


def _shoe(rng: Generator) -> tuple[strokes.Strokes, strokes.Strokes]:
    ankle, heel, toe = rng.uniform(0.3, 1.1), rng.uniform(0, 0.35), rng.uniform(0.15, 0.35)
    top = np.array([[0, -ankle], [0.4, -ankle], [0.55, -0.4], [1, -toe], [1.3, -toe * 0.7], [1.35, 0]])
    sole = np.array([[1.35, 0.05], [0.5, 0.05 - heel * rng.random()], [0.25, heel], [0, heel]])
    outline = np.concatenate([spline(top), sole])
    return [outline * [rng.choice([-1, 1]), 1]], []


def _sandal(rng: Generator) -> tuple[strokes.Strokes, strokes.Strokes]:
    """Return a sole, flat or with a high heel, and a few straps."""
    heel, thickness = rng.choice([0.0, rng.uniform(0.2, 0.9)]), rng.uniform(0.04, 0.15)
    sole = spline(np.array([[0, -heel], [0.3, -0.9 * heel], [0.8, -0.15 * heel], [1.05, 0], [1.4, -0.05]]))
    polygons = [np.concatenate([sole, sole[::-1] + np.array([0, thickness])])]
    if heel:
        width = rng.uniform(0.04, 0.5)
        polygons.append(np.array([[0, -heel], [width + 0.15, -0.8 * heel], [width, thickness], [0.02, thickness]]))
    lines = []
    for _ in range(rng.integers(1, 5)):
        start, end = np.sort(rng.integers(0, len(sole), 2))
        middle = (sole[start] + sole[end]) / 2 - [rng.uniform(-0.2, 0.2), rng.uniform(0.1, 0.7)]
        lines.append(spline(np.stack([sole[start], middle, sole[end]])))
    return polygons, lines


def _bag(rng: Generator) -> tuple[strokes.Strokes, strokes.Strokes]:
    height, top = rng.uniform(0.5, 1.2), rng.uniform(0.35, 0.55)
    body = np.array([[-top, 0], [top, 0], [0.5, height], [-0.5, height]])
    handle = strokes.arc((0, 0), (top * rng.uniform(0.4, 0.95), rng.uniform(0.2, 0.7)), np.pi, np.pi)
    return [body], [handle] if rng.random() < 0.7 else []


def _blob(rng: Generator) -> tuple[strokes.Strokes, strokes.Strokes]:
    angles = 2 * np.pi * np.arange(9) / 9
    radii = rng.uniform(0.5, 1, 9)
    radii[-1] = radii[0]
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
    return [spline(np.concatenate([points, points[:1]]))], []


def blank(rng: Generator) -> np.ndarray:
    """Return an image with nothing on it: one grey level, faint noise or shading, a few specks, or a bright edge."""
    kind = rng.integers(8)
    level = rng.choice([0, rng.random() ** 3, rng.random() ** 3, 1, rng.random()])  # often nearly black
    image = np.full((SIZE, SIZE), float(level))
    if kind <= 1:
        return to_uint8(image)
    if kind == 2:
        image += rng.uniform(0.005, 0.08) * noise(rng, rng.choice([0, 1, 2]))
    elif kind == 3:
        along, _ = _grid(rng)
        image = rng.random() + rng.uniform(0.1, 1) * along / SIZE
    elif kind == 4:  # specks
        image = np.zeros((SIZE, SIZE))
        for _ in range(rng.integers(1, 6)):
            top, left = rng.integers(0, SIZE - 1, 2)
            size = rng.integers(1, 4, 2)
            image[top : top + size[0], left : left + size[1]] = rng.uniform(0.1, 1)
    else:  # bright edges
        image = np.zeros((SIZE, SIZE)) if rng.random() < 0.7 else 0.02 * np.abs(noise(rng, 0))
        for side in rng.permutation(4)[: rng.choice([1, 1, 2, 4])]:
            view = np.rot90(image, side)  # a view: writing to it changes the image
            view[: rng.integers(1, 6)] = rng.uniform(0.3, 1)
    return to_uint8(image)
