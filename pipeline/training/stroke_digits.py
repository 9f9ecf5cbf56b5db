"""Digits drawn from stroke models: the ordinary shapes, and shapes that the writers of MNIST rarely used.

A stroke model is a list of curves through control points. The points are moved at random, the strokes deformed as
handwriting varies, drawn with a pen, and normalised as the reader normalises a digit in a photo.
"""

from collections.abc import Callable

import numpy as np

from digits.interface import SIZE
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.training import strokes
from pipeline.training.strokes import Strokes, arc, joined, spline

WIDTHS = (0.05, 0.16)  # of strokes, relative to the longer side of a digit, as in MNIST
CONTROL = 0.045  # std of the displacement of control points; a digit is about 2 high
SCALED_DOWN = 0.2  # fraction of digits that are scaled down as small pictures are, not normalised
THIN = (0.02, 0.12)  # the widths of their strokes
STRETCHED = 0.15  # fraction of digits that are stretched to about a square
SOFT = 0.5  # fraction of digits that are blurred a little: MNIST's strokes are softer than the reader's

Generator = np.random.Generator
Points = tuple[tuple[float, float], ...]


def generate(count: int, seed: int) -> LabelledImages:
    """Return `count` digits, 0 to 9 in turn, each in a random one of its VARIANTS."""
    images, labels = np.empty((count, SIZE, SIZE), np.uint8), (np.arange(count) % 10).astype(np.uint8)
    for number, digit in enumerate(labels.tolist()):
        rng = np.random.default_rng([seed, number])
        variants = tuple(VARIANTS[digit].values())
        images[number] = draw(variants[rng.integers(len(variants))](rng), rng)
    return LabelledImages(images, labels)


def add(images: LabelledImages, fraction: float, seed: int) -> LabelledImages:
    """Return `images` and, after them, `fraction` times as many digits drawn from stroke models."""
    count = round(fraction * len(images))
    return arrays.joined(images, generate(count, seed)) if count else images


def draw(drawing: Strokes, rng: Generator) -> np.ndarray:
    """Return a digit in a random handwriting, (28, 28) uint8."""
    deformed = strokes.deform(drawing, rng, rotation=10, shear=0.35, aspect=0.4, bend=0.022, ends=0.03)
    if rng.random() < STRETCHED:
        deformed = _stretched(deformed, rng.uniform(0.7, 1))
    pressure = rng.uniform(0.1, 0.35) if rng.random() < 0.4 else 0.0
    if rng.random() < SCALED_DOWN:
        return strokes.scaled_down(strokes.draw(deformed, rng.uniform(*THIN), rng, pressure=pressure), rng)
    image = strokes.normalised(strokes.draw(deformed, rng.uniform(*WIDTHS), rng, pressure=pressure))
    return _blurred(image, int(rng.integers(1, 5))) if rng.random() < SOFT else image


def _stretched(drawing: Strokes, ratio: float) -> Strokes:
    """Return `drawing` scaled to the width `ratio` times its height, but at most to twice its width, beyond which a 1
    is no longer a 1. Many datasets stretch digits to fill a square.
    """
    width, height = np.maximum(np.ptp(np.concatenate(drawing), axis=0), 0.1)
    return [stroke * (min(2.0, ratio * height / width), 1.0) for stroke in drawing]


def _blurred(image: np.ndarray, amount: int) -> np.ndarray:
    """Return `image` after a 3x3 binomial filter of `amount` / 4 of its strength, in whole numbers."""
    wide = np.pad(image.astype(np.int64), 1)
    rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    smooth = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]  # 16 times too large
    mixed = amount * smooth + (4 - amount) * 16 * image.astype(np.int64)
    return np.minimum(255, mixed * 5 // 4 // 64).astype(np.uint8)  # a blurred line is paler, MNIST's is not


def _moved(points: Points, rng: Generator) -> np.ndarray:
    return np.array(points, float) + CONTROL * rng.standard_normal((len(points), 2))


def _curve(points: Points, rng: Generator) -> np.ndarray:
    return spline(_moved(points, rng))


def _oval(rng: Generator) -> np.ndarray:
    """Return an oval that begins at the top and goes counter-clockwise, open or overlapping a little at its end."""
    return arc(
        (0, 0), (rng.uniform(0.4, 0.85), 1), -np.pi / 2 + rng.uniform(-0.4, 0.5), -2 * np.pi + rng.uniform(-0.4, 0.3)
    )


def _plain_0(rng: Generator) -> Strokes:
    return [_oval(rng)]


def _slashed_0(rng: Generator) -> Strokes:
    oval = _oval(rng)
    half_width = float(np.abs(oval[:, 0]).max())
    reach = rng.uniform(0.7, 1.25)  # inside the oval, or beyond it
    return [oval, _moved(((half_width * reach, -0.75 * reach), (-half_width * reach, 0.75 * reach)), rng)]


def _looped_0(rng: Generator) -> Strokes:
    body = (
        (0.2, -0.95),
        (-0.35, -0.85),
        (-0.62, -0.1),
        (-0.4, 0.8),
        (0.1, 1),
        (0.55, 0.6),
        (0.6, -0.25),
        (0.25, -0.85),
    )
    loop = ((-0.05, -0.95), (0.0, -0.7), (0.3, -0.8), (0.65, -1.0))
    return [_curve((*body, *loop), rng)]


def _plain_1(rng: Generator) -> Strokes:
    return [_curve(((rng.uniform(-0.1, 0.35), -1), (0.05, 0), (0, 1)), rng)]


def _one(upstroke: tuple[float, float], foot: bool) -> Callable[[Generator], Strokes]:
    """Return a stroke model of a 1 whose upstroke has a length in the given range, and perhaps a foot.

    The upstroke falls by at least 45 degrees to the left; the bar of a 7 is nearly level.
    """

    def model(rng: Generator) -> Strokes:
        length, angle = rng.uniform(*upstroke), rng.uniform(0.9, 1.25)
        start = (-length * float(np.cos(angle)), -1 + length * float(np.sin(angle)))
        found = [_moved((start, (0, -1), (0, 1)), rng)]
        if foot:
            found.append(_moved(((-rng.uniform(0.2, 0.5), 1), (rng.uniform(0.2, 0.5), 1)), rng))
        return found

    return model


_TOP_OF_2: Points = ((-0.5, -0.5), (-0.35, -0.9), (0.1, -1), (0.48, -0.65), (0.3, -0.1))


def _plain_2(rng: Generator) -> Strokes:
    return [
        joined(_curve((*_TOP_OF_2, (-0.2, 0.5), (-0.55, 0.92)), rng), _curve(((0, 0), (0.5, 0.0), (1.1, 0.02)), rng))
    ]


def _wavy_2(rng: Generator) -> Strokes:
    base = _curve(((0, 0), (0.3, -0.12), (0.75, 0.05), (1.15, -0.1)), rng)
    return [joined(_curve((*_TOP_OF_2, (-0.2, 0.5), (-0.55, 0.92)), rng), base)]


def _looped_2(rng: Generator) -> Strokes:
    size = rng.uniform(0.6, 1.9)  # of the loop
    loop = np.array([[-0.15, 0.45], [-0.45, 0.85], [-0.62, 0.85], [-0.6, 0.6], [-0.3, 0.6], [0.15, 0.88], [0.65, 0.85]])
    loop[2:5] = [-0.5, 0.75] + size * (loop[2:5] - [-0.5, 0.75])
    return [_curve((*_TOP_OF_2, *map(tuple, loop)), rng)]


def _curled_2(rng: Generator) -> Strokes:
    start = ((-0.25, -0.6), (-0.45, -0.5), (-0.5, -0.75))
    return [joined(_curve((*start, *_TOP_OF_2[2:], (-0.2, 0.5), (-0.5, 0.9)), rng), _moved(((0, 0), (1.1, 0)), rng))]


_BOWL_OF_3: Points = ((0, 0), (0.42, 0.15), (0.55, 0.55), (0.3, 1.0), (-0.1, 1.1), (-0.5, 0.92))


def _plain_3(rng: Generator) -> Strokes:
    top = _curve(((-0.5, -0.78), (-0.1, -1), (0.38, -0.75), (0.3, -0.3), (-0.08, -0.08)), rng)
    return [joined(top, _curve(_BOWL_OF_3, rng))]


def _flat_3(rng: Generator) -> Strokes:
    top = _moved(((-0.5, -1), (0.48, -1), (-0.08, -0.15)), rng)
    return [joined(top, _curve(_BOWL_OF_3, rng))]


def _looped_3(rng: Generator) -> Strokes:
    points = ((-0.5, -0.78), (-0.1, -1), (0.38, -0.7), (0.15, -0.15), (-0.12, -0.02), (-0.1, -0.2), (0.2, -0.05))
    return [_curve((*points, (0.52, 0.4), (0.3, 0.88), (-0.1, 1), (-0.5, 0.82)), rng)]


def _open_4(rng: Generator) -> Strokes:
    level = rng.uniform(0, 0.3)
    left = _moved(((-0.3, -0.95), (-0.5, level), (0.62, level - 0.03)), rng)
    return [left, _moved(((0.28, rng.uniform(-0.85, -0.3)), (0.22, 1)), rng)]


def _closed_4(rng: Generator) -> Strokes:
    level = rng.uniform(0.15, 0.45)
    return [_moved(((0.25, 1), (0.25, -1), (-0.6, level), (0.65, level)), rng)]


def _crossed_4(rng: Generator) -> Strokes:
    """Return a hook, and a leg that crosses it."""
    level = rng.uniform(0.1, 0.35)
    return [_moved(((0.1, -1), (-0.6, level), (0.6, level)), rng), _moved(((0.15, -0.35), (0.12, 1)), rng)]


_BOWL_OF_5: Points = ((0, 0), (0.4, -0.2), (0.85, 0.1), (0.85, 0.7), (0.4, 1.1), (-0.15, 0.98))


def _plain_5(rng: Generator) -> Strokes:
    return [joined(_moved(((0.5, -1), (-0.35, -1), (-0.42, -0.15)), rng), _curve(_BOWL_OF_5, rng))]


def _detached_5(rng: Generator) -> Strokes:
    body = joined(_moved(((-0.35, -0.95), (-0.42, -0.15)), rng), _curve(_BOWL_OF_5, rng))
    gap, height = rng.uniform(0.05, 0.2), rng.uniform(-1.15, -0.95)
    return [body, _moved(((-0.35 + gap, height), (0.55, height - 0.03)), rng)]


def _plain_6(rng: Generator) -> Strokes:
    points = ((0.35, -1), (-0.2, -0.55), (-0.5, 0.2), (-0.3, 0.85), (0.15, 1), (0.5, 0.6), (0.25, 0.08), (-0.2, 0.2))
    return [_curve((*points, (-0.46, 0.5)), rng)]


def _small_6(rng: Generator) -> Strokes:
    points = ((0.3, -1), (-0.12, -0.5), (-0.4, 0.2), (-0.36, 0.75), (0, 1), (0.33, 0.78), (0.2, 0.45), (-0.1, 0.42))
    return [_curve((*points, (-0.38, 0.65)), rng)]


def _straight_6(rng: Generator) -> Strokes:
    bowl = _curve(((0, 0), (0.02, 0.45), (0.4, 0.68), (0.8, 0.4), (0.7, 0), (0.3, -0.12), (0, 0.15)), rng)
    return [joined(_moved(((0.25, -1), (-0.38, 0.3)), rng), bowl)]


def _seven(*, hook: bool = False, bar: bool = False, curved: bool = False) -> Callable[[Generator], Strokes]:
    """Return a stroke model of a 7: with a short downstroke at the left, a bar through the leg, a curved leg."""

    def model(rng: Generator) -> Strokes:
        top = _moved(((-0.58, -0.98), (0.5, -1)), rng)
        if hook:
            hooked = top[:1] + np.array([rng.uniform(-0.08, 0.03), rng.uniform(0.2, 0.45)])
            top = np.concatenate([hooked, top])
        ends = (
            ((0.5, -1), (0.1, -0.1), (-0.1, 0.5), (-0.14, 1)) if curved else ((0.5, -1), (rng.uniform(-0.25, 0.1), 1))
        )
        found = [joined(top, _curve(ends, rng) if curved else _moved(ends, rng))]
        if bar:
            level = rng.uniform(-0.15, 0.2)
            middle = 0.16 - 0.32 * level - (0.06 if curved else 0)
            half = rng.uniform(0.25, 0.6)
            found.append(_moved(((middle - half, level + 0.04), (middle + half, level - 0.04)), rng))
        return found

    return model


def _plain_8(rng: Generator) -> Strokes:
    points = ((0.35, -0.8), (0, -1), (-0.38, -0.7), (-0.1, -0.2), (0.3, 0.2), (0.42, 0.65), (0, 1), (-0.42, 0.65))
    return [_curve((*points, (-0.28, 0.2), (0.12, -0.18), (0.4, -0.6), (0.3, -0.85)), rng)]


def _circles_8(rng: Generator) -> Strokes:
    upper, lower = rng.uniform(0.35, 0.5), rng.uniform(0.45, 0.6)
    widths = rng.uniform(0.85, 1.2, 2)
    shift = 0.05 * rng.standard_normal()
    turn = 2 * np.pi + 0.2
    return [
        arc((shift, -upper), (upper * widths[0], upper), np.pi / 2, turn),
        arc((0, lower * 0.95), (lower * widths[1], lower), -np.pi / 2, turn),
    ]


def _open_8(rng: Generator) -> Strokes:
    points = ((0.22, -0.95), (-0.2, -0.9), (-0.36, -0.55), (0.02, -0.08), (0.42, 0.45), (0.05, 1), (-0.42, 0.6))
    return [_curve((*points, (-0.1, 0.02), (0.25, -0.35), (rng.uniform(0.38, 0.5), -0.8)), rng)]


_HEAD_OF_9: Points = (
    (0.42, -0.7),
    (0.05, -1),
    (-0.4, -0.75),
    (-0.38, -0.25),
    (0.05, -0.12),
    (0.4, -0.45),
    (0.44, -0.75),
)


def _nine(*tail: tuple[float, float]) -> Callable[[Generator], Strokes]:
    """Return a stroke model of a 9 with a `tail` through the given points."""

    def model(rng: Generator) -> Strokes:
        head = _curve(_HEAD_OF_9, rng)
        points = ((0.44, -0.75), *tail)
        return [joined(head, _moved(points, rng) if len(points) == 2 else _curve(points, rng))]

    return model


VARIANTS: dict[int, dict[str, Callable[[Generator], Strokes]]] = {
    0: {"plain": _plain_0, "slashed": _slashed_0, "looped": _looped_0},
    1: {
        "plain": _plain_1,
        "short upstroke": _one((0.3, 0.6), foot=False),
        "long upstroke": _one((0.6, 1.8), foot=False),
        "short upstroke, foot": _one((0.3, 0.6), foot=True),
        "long upstroke, foot": _one((0.6, 1.5), foot=True),
    },
    2: {"plain": _plain_2, "wavy base": _wavy_2, "looped": _looped_2, "curled": _curled_2},
    3: {"plain": _plain_3, "flat top": _flat_3, "looped": _looped_3},
    4: {"open": _open_4, "closed": _closed_4, "crossed": _crossed_4},
    5: {"plain": _plain_5, "detached bar": _detached_5},
    6: {"plain": _plain_6, "small loop": _small_6, "straight": _straight_6},
    7: {
        "plain": _seven(),
        "curved": _seven(curved=True),
        "crossed": _seven(bar=True),
        "curved, crossed": _seven(bar=True, curved=True),
        "hooked": _seven(hook=True),
        "hooked, crossed": _seven(hook=True, bar=True),
        "hooked, curved": _seven(hook=True, curved=True),
        "hooked, curved, crossed": _seven(hook=True, curved=True, bar=True),
    },
    8: {"plain": _plain_8, "two circles": _circles_8, "open": _open_8},
    9: {
        "straight": _nine((0.42, 1)),
        "slanted": _nine((0.05, 1)),
        "curled": _nine((0.45, 0.2), (0.2, 0.9), (-0.4, 0.85)),
        "hooked": _nine((0.45, 0.3), (0.3, 0.85), (-0.1, 1), (-0.42, 0.6)),
    },
}
