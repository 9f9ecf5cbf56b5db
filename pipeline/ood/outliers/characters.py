"""Outliers that are characters: of stroke fonts and typefaces, invented ones, and short words. (84, 84) uint8 each."""

import cv2
import numpy as np

from pipeline.ood.outliers import glyphs
from pipeline.training import strokes
from pipeline.training.strokes import CANVAS, FRACTION, Strokes

WIDTHS = (0.02, 0.13)  # of strokes, relative to the longer side of a character

Generator = np.random.Generator


def pen(drawing: Strokes, rng: Generator, widths: tuple[float, float] = WIDTHS) -> np.ndarray:
    """Return a picture of `drawing` with a random width of strokes and some pen pressure."""
    pressure = rng.uniform(0.1, 0.4) if rng.random() < 0.3 else 0.0
    return strokes.draw(drawing, rng.uniform(*widths), rng, pressure=pressure)


def stroke_font(rng: Generator) -> np.ndarray:
    """Return a character of a Hershey font in a random handwriting."""
    return pen(strokes.deform(_written(rng), rng), rng)


def _written(rng: Generator) -> Strokes:
    found = glyphs.hershey(glyphs.HERSHEY[rng.integers(len(glyphs.HERSHEY))])
    drawing = found[rng.integers(len(found))][1]
    if len(drawing) > 3 and rng.random() < 0.1:  # a stroke forgotten
        missing = rng.integers(len(drawing))
        drawing = [stroke for number, stroke in enumerate(drawing) if number != missing]
    return drawing


def typeface(rng: Generator) -> np.ndarray:
    """Return a character of a TrueType font, deformed, and thinned or thickened."""
    by_script = glyphs.typefaces()
    script = (*glyphs.SCRIPTS, *3 * (glyphs.SYMBOLS,))[rng.integers(len(glyphs.SCRIPTS) + 3)]
    found = by_script[script]
    contours = glyphs.outline(*found[rng.integers(len(found))])
    if not contours:
        return np.zeros((CANVAS, CANVAS), np.uint8)
    return filled(strokes.deform(contours, rng, ends=0), int(rng.integers(-1, 6)))


def filled(contours: Strokes, grow: int = 0) -> np.ndarray:
    """Return a picture of closed `contours`, filled by the even-odd rule.

    Args:
        grow: pixels by which the ink is thickened, or thinned if negative.
    """
    canvas = np.zeros((CANVAS, CANVAS), np.uint8)
    pixels = [strokes.fixed_point(strokes.BOX * each + (CANVAS - 1) / 2) for each in strokes.to_box(contours)]
    cv2.fillPoly(canvas, pixels, 255, cv2.LINE_AA, FRACTION)
    if grow:
        cv2.polylines(canvas, pixels, True, 255 if grow > 0 else 0, abs(grow), cv2.LINE_AA, FRACTION)
    return canvas


def word(rng: Generator) -> np.ndarray:
    """Return two to four characters in a row, close to each other."""
    fonts = (*glyphs.PRINTED[:3], *glyphs.CURSIVE, "greek", "cyrillic", "japanese")
    found = glyphs.hershey(fonts[rng.integers(len(fonts))])
    drawing, right, gap = [], 0.0, rng.uniform(0.5, 4)
    for _ in range(rng.integers(2, 5)):
        letter = found[rng.integers(len(found))][1]
        low, high = strokes.bounds(letter)
        drawing += [stroke + np.array([right - low[0], 0]) for stroke in letter]
        right += high[0] - low[0] + gap
    return pen(strokes.deform(drawing, rng, rotation=8, bend=0.01, ends=0.01), rng, (0.02, 0.07))


def invented(rng: Generator) -> np.ndarray:
    """Return a character of no script: two to six simple strokes, most of which start on another or cross it."""
    drawing: Strokes = []
    for number in range((2, 2, 2, 3, 3, 3, 4, 4, 5, 6)[rng.integers(10)]):
        stroke = _simple_stroke(rng)
        if number and rng.random() < 0.8:  # joined at an end, or crossing in the middle
            other = drawing[rng.integers(number)]
            there = other[(0, len(other) - 1, rng.integers(len(other)))[rng.integers(3)]]
            here = stroke[(0, len(stroke) - 1, len(stroke) // 2)[rng.integers(3)]]
            stroke = stroke + np.clip(there - here, -0.7, 0.7)
        else:
            stroke = stroke + rng.uniform(-0.35, 0.35, 2)
        drawing.append(stroke)
    if rng.random() < 0.15:  # a dot or two
        for _ in range(rng.integers(1, 3)):
            drawing.append(rng.uniform(-0.5, 0.5, 2) + np.array([[0, 0], [0.02, 0.02]]))
    return pen(strokes.deform(drawing, rng, rotation=5, shear=0.1), rng)


def continuous(rng: Generator) -> np.ndarray:
    """Return a character of no script, of two or three simple strokes without lifting the pen."""
    parts = [_simple_stroke(rng) for _ in range(rng.integers(2, 4))]
    return pen(strokes.deform([strokes.joined(*parts)], rng, rotation=5, shear=0.1), rng)


def angular(rng: Generator) -> np.ndarray:
    """Return a character of no script, of two to five lines between the points of a grid, as in runes or Hangul."""
    lines = _lines_on_grid(rng)
    drawing: Strokes = []
    for line in lines:
        start, end = (np.array(point) + 0.04 * rng.standard_normal(2) for point in line)
        middle = (start + end) / 2
        bow = (end - start)[::-1] * (1, -1) * rng.choice([0, 0, 0, 0.15, -0.15, 0.25, -0.25])
        drawing.append(strokes.spline(np.stack([start, middle + bow, end])) if bow.any() else np.stack([start, end]))
    if rng.random() < 0.25:  # a small circle at an end
        x, y = lines[rng.integers(len(lines))][0] + rng.uniform(-0.25, 0.25, 2)
        radius = rng.uniform(0.15, 0.3)
        drawing.append(strokes.arc((x, y), (radius, radius), 0, 2 * np.pi))
    return pen(strokes.deform(drawing, rng, rotation=7, shear=0.15, bend=0.015), rng)


def _lines_on_grid(rng: Generator) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return two to five different lines between points of a grid of three columns and four rows. Most begin at an end
    or in the middle of another.
    """
    columns, rows = (-0.4, 0.0, 0.4), (-0.5, -0.17, 0.17, 0.5)
    lines: list[tuple[tuple[float, float], tuple[float, float]]] = []
    wanted = (2, 2, 2, 3, 3, 3, 4, 4, 5)[rng.integers(9)]
    while len(lines) < wanted:
        start = (columns[rng.integers(3)], rows[rng.integers(4)])
        if lines and rng.random() < 0.75:
            first, last = lines[rng.integers(len(lines))]
            middle = ((first[0] + last[0]) / 2, (first[1] + last[1]) / 2)
            start = (first, last, middle)[rng.integers(3)]
        kind = rng.integers(6)  # two in six level, two upright, two in any direction
        end = (
            start[0] if kind in (2, 3) else columns[rng.integers(3)],
            start[1] if kind < 2 else rows[rng.integers(4)],
        )
        if start != end and (start, end) not in lines and (end, start) not in lines:
            lines.append((start, end))
    return lines


def _simple_stroke(rng: Generator) -> np.ndarray:
    """Return a line, an arc, a hook, a loop, a circle, a zigzag or a free curve, centred, of a size of 0.35 to 1."""
    stroke = _stroke_of_size_1(rng)
    low, high = strokes.bounds([stroke])
    return np.asarray((stroke - (low + high) / 2) * np.exp(rng.uniform(np.log(0.35), 0)))


def _stroke_of_size_1(rng: Generator) -> np.ndarray:
    kind = rng.integers(9)
    turn = rng.choice([-1, 1])
    if kind <= 1:  # lines, mostly upright or level
        angle = rng.choice([0, 0.5, 0.25, 0.75]) * np.pi + 0.12 * rng.standard_normal()
        return np.array([[0, 0], [np.cos(angle), np.sin(angle)]])
    if kind <= 3:
        radii = (0.5, 0.5 * rng.uniform(0.4, 1.6))
        return strokes.arc((0, 0), radii, rng.uniform(0, 2 * np.pi), turn * rng.uniform(1.5, 4.5))
    if kind == 4:  # a line that ends in a bow
        bow = strokes.arc((rng.uniform(0.15, 0.35), 0.5), (0.25, 0.25), np.pi, -rng.uniform(1.5, 3.5))
        return (np.concatenate([[[bow[0, 0], -0.5]], bow]) * [turn, rng.choice([-1, 1])])[:, :: rng.choice([-1, 1])]
    if kind == 5:  # a curve that crosses itself
        t = np.linspace(0, 1, 24)
        angles = rng.uniform(0, 2 * np.pi) + turn * t * rng.uniform(5.5, 8)
        drift = np.outer(t, rng.uniform(-0.8, 0.8, 2))
        return 0.35 * np.stack([np.cos(angles), np.sin(angles)], axis=1) + drift
    if kind == 6:
        return strokes.arc((0, 0), (0.5, 0.5 * rng.uniform(0.6, 1.5)), rng.uniform(0, 2 * np.pi), 2 * np.pi)
    if kind == 7:
        count = rng.integers(3, 6)
        zigzag = np.stack([np.linspace(0, 1, count), 0.5 * (np.arange(count) % 2) + 0.15 * rng.random(count)], axis=1)
        return zigzag[:, :: rng.choice([-1, 1])] * [turn, 1]
    return strokes.spline(rng.uniform(-0.5, 0.5, (rng.integers(3, 6), 2)))
