"""Outliers that are drawn but no characters: symbols, small pictures, scribbles and scrawls. (84, 84) uint8 each."""

from collections.abc import Callable

import numpy as np

from pipeline.ood.outliers.characters import filled, pen
from pipeline.training import strokes
from pipeline.training.strokes import Strokes, arc, spline

Generator = np.random.Generator


def symbol(rng: Generator) -> np.ndarray:
    """Return a symbol or a small picture in a random handwriting."""
    drawing = SYMBOLS[rng.integers(len(SYMBOLS))](rng)
    drawing = strokes.deform(drawing, rng, bend=0.012, shear=0.2)
    if rng.random() < 0.15 and drawing[0].shape[0] > 3:  # filled; a dash would be a 1
        low, high = strokes.bounds(drawing[:1])
        if (high - low)[1] < 1.8 * (high - low)[0]:
            return filled(drawing[:1])
    return pen(drawing, rng)


def _closed(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, points[:1]])


def _polar(angles: np.ndarray, radii: np.ndarray | float) -> np.ndarray:
    return (np.stack([np.cos(angles), np.sin(angles)]) * radii).T


def _line(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, float)


def _polygon(rng: Generator) -> Strokes:
    corners = int(rng.integers(3, 5))
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(corners) / corners + rng.uniform(-0.2, 0.2, corners)
    drawing = [_closed(_polar(angles, 1))]
    if rng.random() < 0.5:  # something inside
        drawing += [_closed(_polar(angles, 0.5))] if rng.random() < 0.5 else [_line((-0.4, 0), (0.4, 0))]
    return drawing


def _star(rng: Generator) -> Strokes:
    points = int(rng.integers(4, 8))
    if points % 2 and rng.random() < 0.5:  # in one stroke
        return [_closed(_polar(-np.pi / 2 + 2 * np.pi * (points // 2) / points * np.arange(points), 1))]
    angles = rng.uniform(0, 2 * np.pi) + np.pi * np.arange(2 * points) / points
    return [_closed(_polar(angles, np.where(np.arange(2 * points) % 2, rng.uniform(0.3, 0.6), 1)))]


def _asterisk(rng: Generator) -> Strokes:
    arms = int(rng.integers(2, 6))
    turn = rng.uniform(0, np.pi)
    return [_polar(turn + np.pi * (number / arms + np.arange(2)), rng.uniform(0.7, 1)) for number in range(arms)]


def _heart(rng: Generator) -> Strokes:
    t = np.linspace(0, 2 * np.pi, 40)
    y = -13 * np.cos(t) + 5 * np.cos(2 * t) + 2 * np.cos(3 * t) + np.cos(4 * t)
    return [np.stack([16 * np.sin(t) ** 3, y], axis=1)]


def _arrow(rng: Generator) -> Strokes:
    tip, half = rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.5)
    drawing = [_line((-1, 0), (1, 0)), _line((1 - tip, -half), (1, 0), (1 - tip, half))]
    if rng.random() < 0.3:
        drawing.append(_line((tip - 1, -half), (-1, 0), (tip - 1, half)))
    angle = rng.integers(8) * np.pi / 4
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [stroke @ turn for stroke in drawing]


def _house(rng: Generator) -> Strokes:
    eaves = rng.uniform(-0.3, 0.2)
    walls = _closed(_line((-0.8, 1), (-0.8, eaves), (0, -1), (0.8, eaves), (0.8, 1)))
    parts = [_line((-0.2, 1), (-0.2, 0.4), (0.2, 0.4), (0.2, 1)), _line((-0.8, eaves), (0.8, eaves))]
    return [walls, *parts[: rng.integers(3)]]


def _face(rng: Generator) -> Strokes:
    happy = rng.random() < 0.6
    mouth = arc((0, 0.2 if happy else 0.7), (0.5, 0.35), 0.3 if happy else np.pi + 0.3, np.pi - 0.6)
    eyes = [arc((side * 0.35, -0.3), (0.07, 0.1), 0, 6.3) for side in (-1, 1)]
    return [arc((0, 0), (1, 1), 0, 2 * np.pi), *eyes, mouth]


def _tick(rng: Generator) -> Strokes:
    return [_line((-0.6, 0.1), (-0.2, 0.7), (0.9, -0.9 + rng.uniform(-0.2, 0.4)))]


def _cross(rng: Generator) -> Strokes:
    middle = rng.uniform(-0.5, 0.5)
    return [_line((-1, middle), (1, middle)), _line((0, -1), (0, 1.1))]


def _grid(rng: Generator) -> Strokes:
    rows, columns = rng.integers(1, 5, 2)
    drawing = [_line((-1, y), (1, y)) for y in np.linspace(-0.7, 0.7, rows + 1)]
    return drawing + [_line((x, -1), (x, 1)) for x in np.linspace(-0.7, 0.7, columns + 1)]


def _spiral(rng: Generator) -> Strokes:
    t = np.linspace(0, 1, 60)
    return [_polar(rng.uniform(0, 6) + rng.choice([-1, 1]) * t * 2 * np.pi * rng.uniform(2, 4), t)]


def _wave(rng: Generator) -> Strokes:
    t = np.linspace(0, 1, 40)
    height = np.sin(2 * np.pi * rng.uniform(1.5, 4) * t + rng.uniform(0, 6))
    rows = int(rng.integers(1, 4))
    return [np.stack([2 * t - 1, 0.3 * height + 0.5 * row], axis=1) for row in range(rows)]


def _brackets(rng: Generator) -> Strokes:
    inner = rng.uniform(-0.3, 0.5)
    left = spline(_line((inner, -1), (-0.2, -0.8), (-0.2, 0.8), (inner, 1)))
    return [left - [0.4, 0], left * [-1, 1] + [0.4, 0]]


def _lines(rng: Generator) -> Strokes:
    count = int(rng.integers(2, 5))
    across = rng.random() < 0.5
    ends = rng.uniform(0.5, 1, (count, 2))
    drawing = [_line((-a, y), (b, y)) for (a, b), y in zip(ends, np.linspace(-0.8, 0.8, count), strict=True)]
    return drawing if across else [stroke[:, ::-1] for stroke in drawing]


def _circles(rng: Generator) -> Strokes:
    """Two or more circles beside or within each other, or a circle with marks in it; never one above another: an 8."""
    first = arc((0, 0), (1, 1), 0, 2 * np.pi)
    kind = rng.integers(3)
    if kind == 0:
        return [first, first * rng.uniform(0.2, 0.7)]
    if kind == 1:
        return [first, first * rng.uniform(0.5, 1) + [rng.uniform(0.8, 2.2), rng.uniform(-0.4, 0.4)]]
    return [first, _line((-0.8, 0), (0.8, 0)), _line((0, -0.8), (0, 0.8))]


def _flash(rng: Generator) -> Strokes:
    count = int(rng.integers(4, 9))
    points = np.stack([np.linspace(-1, 1, count), np.where(np.arange(count) % 2, 0.5, -0.5)], axis=1)
    return [points + 0.15 * rng.standard_normal((count, 2))]


def _sun(rng: Generator) -> Strokes:
    rays = int(rng.integers(6, 11))
    angles = 2 * np.pi * np.arange(rays) / rays
    return [arc((0, 0), (0.45, 0.45), 0, 6.3), *(np.outer([0.6, 1], [np.cos(a), np.sin(a)]) for a in angles)]


def _dots(rng: Generator) -> Strokes:
    places = rng.uniform(-1, 1, (rng.integers(2, 9), 2))
    return [place + _line((0, 0), (0.03, 0.02)) for place in places]


def _tree(rng: Generator) -> Strokes:
    crown = arc((0, -0.4), (0.6, 0.6), 0, 2 * np.pi) if rng.random() < 0.5 else _line((-0.6, 0.1), (0, -1), (0.6, 0.1))
    return [_closed(crown), _line((-0.1, 0.15), (-0.12, 1)), _line((0.1, 0.15), (0.12, 1))]


SYMBOLS: tuple[Callable[[Generator], Strokes], ...] = (
    *(_polygon, _star, _asterisk, _heart, _arrow, _arrow, _house, _face, _tick, _cross, _grid, _spiral, _wave),
    *(_brackets, _lines, _circles, _flash, _sun, _dots, _tree),
)


def scribble(rng: Generator) -> np.ndarray:
    """Return one to five curves or zigzags through random points."""
    count = int(rng.integers(1, 6))
    drawing = []
    for _ in range(count):
        points = rng.uniform(-1, 1, (rng.integers(7 if count == 1 else 4, 11), 2))
        drawing.append(spline(points) if rng.random() < 0.6 else points)
    return pen(strokes.deform(drawing, rng), rng, (0.02, 0.1))


def scrawl(rng: Generator) -> np.ndarray:
    """Return a line of loops and waves, as in a signature."""
    t = np.linspace(0, 1, 120)
    loops = rng.uniform(2.5, 8)
    size = 0.3 + 0.25 * np.sin(2 * np.pi * (rng.uniform(0.5, 2) * t + rng.random()))
    angles = 2 * np.pi * loops * t + 1.5 * np.sin(2 * np.pi * (rng.uniform(0.5, 1.5) * t + rng.random()))
    x = rng.uniform(1.5, 4) * t + rng.uniform(0.1, 0.8) * size * np.cos(angles)
    drawing = [np.stack([x, 1.3 * size * np.sin(angles)], axis=1)]
    if rng.random() < 0.3:  # underlined
        drawing.append(np.array([[0, 0.9], [x[-1], 0.8]]))
    return pen(strokes.deform(drawing, rng, rotation=20, ends=0), rng, (0.02, 0.07))
