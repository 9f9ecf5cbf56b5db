"""Generated outliers, images that are not digits, to train the OOD detector on.

Half of them are characters: of vector fonts and typefaces, deformed as handwriting varies, and invented ones, which
stand for scripts that are not among them. The others are symbols, scribbles, modified digits, textures, patches like
those of photos, clothes-like silhouettes and blanks.

Training a detector on outliers is called outlier exposure: Hendrycks, Mazeika and Dietterich, Deep Anomaly Detection
with Outlier Exposure (2019).
"""

from collections.abc import Callable, Sequence

import numpy as np

from digits.interface import SIZE
from pipeline.ood.outliers import characters, drawings, modified_digits, textures
from pipeline.ood.outliers.modified_digits import ByDigit
from pipeline.training import strokes

Generator = np.random.Generator
Drawn = Callable[[Generator], np.ndarray]
Modified = Callable[[ByDigit, Generator], np.ndarray]

# The kinds of outliers, and their relative frequencies.
DRAWN: dict[str, tuple[Drawn, int]] = {
    "stroke_font": (characters.stroke_font, 25),
    "invented": (characters.invented, 18),
    "angular": (characters.angular, 16),
    "continuous": (characters.continuous, 8),
    "typeface": (characters.typeface, 10),
    "word": (characters.word, 3),
    "symbol": (drawings.symbol, 8),
    "scribble": (drawings.scribble, 3),
    "scrawl": (drawings.scrawl, 2),
}
MODIFIED: dict[str, tuple[Modified, int]] = {
    "turned": (modified_digits.turned, 4),
    "half": (modified_digits.half, 2),
    "two": (modified_digits.two, 4),
    "crossed_out": (modified_digits.crossed_out, 1),
}
AS_IT_IS: dict[str, tuple[Drawn, int]] = {
    "texture": (textures.texture, 4),
    "silhouette": (textures.silhouette, 9),
    "patch": (textures.patch, 5),
    "blank": (textures.blank, 4),
}
KINDS = (*DRAWN, *MODIFIED, *AS_IT_IS)
WEIGHTS = {kind: weight for table in (DRAWN, MODIFIED, AS_IT_IS) for kind, (_, weight) in table.items()}

REDUCED = 0.12  # fraction of drawings that are scaled down as a whole, as datasets of characters are, not normalised


def generate(count: int, images: np.ndarray, labels: np.ndarray, seed: int, kinds: Sequence[str] = KINDS) -> np.ndarray:
    """Return `count` outliers, (count, 28, 28) uint8, bright ink on dark, of several kinds in random order.

    Args:
        images: digits (n, 28, 28) uint8, to be modified and combined.
        labels: (n,) of these digits; each of 0 to 9 must be among them.
        seed: of the random numbers. A smaller count gives the first images of a larger one.
        kinds: the kinds of outliers.
    """
    by_digit = [images[labels == digit] for digit in range(10)]
    weights = np.array([WEIGHTS[kind] for kind in kinds])
    ends = np.cumsum(weights) / weights.sum()
    found = np.empty((count, SIZE, SIZE), np.uint8)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        found[number] = outlier(kinds[int(np.searchsorted(ends, rng.random(), side="right"))], by_digit, rng)
    return found


def outlier(kind: str, by_digit: ByDigit, rng: Generator) -> np.ndarray:
    """Return an outlier of one of KINDS, (28, 28) uint8.

    Args:
        by_digit: ten arrays (n, 28, 28) uint8, digits of each class.
    """
    if kind in AS_IT_IS:
        return AS_IT_IS[kind][0](rng)
    while True:  # a glyph may be blank
        picture = DRAWN[kind][0](rng) if kind in DRAWN else MODIFIED[kind][0](by_digit, rng)
        if picture.max(initial=0) < 128:
            continue
        if kind in DRAWN and rng.random() < REDUCED:
            return strokes.scaled_down(picture, rng)
        return strokes.normalised(picture)
