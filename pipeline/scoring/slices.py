"""Accuracy on slices of the images: each class, and of digits the tertiles of stroke width, slant and size."""

from collections.abc import Mapping, Sequence

import numpy as np

from digits.measurements import MEASUREMENTS
from pipeline.scoring.rounding import rounded
from pipeline.scoring.uncertainty import interval

NAMES = {
    "stroke_width": (("thin", "medium", "thick"), "pixels"),
    "slant": (("smallest", "medium", "largest"), "degrees"),
    "size": (("small", "medium", "large"), "square pixels"),
}

Row = dict[str, str | float]


def slices(
    images: np.ndarray,
    labels: np.ndarray,
    correct: np.ndarray,
    classes: Sequence[str],
    thirds: Mapping[str, Sequence[float]],
) -> dict[str, list[Row]]:
    """Return, for class, stroke width, slant and size, a row per slice of `images`: its name, number of images and of
    errors, accuracy and its 95% interval (absent if the slice is empty).

    Args:
        images: (n, height, width) uint8; (n, 28, 28) if there are `thirds`.
        labels, correct: (n,) numbers of classes, and whether the prediction is correct.
        classes: their names.
        thirds: the two bounds between the tertiles of each of `digits.measurements`; a value on a bound is in the
            lower. Empty for images that are not digits.
    """
    found = {"class": [_row(name, correct[labels == number]) for number, name in enumerate(classes)]}
    for measurement, bounds in thirds.items():
        names, unit = NAMES[measurement]
        place = np.searchsorted(bounds, MEASUREMENTS[measurement](images))
        low, high = bounds
        ranges = (f"up to {low:g}", f"{low:g} to {high:g}", f"over {high:g}")
        found[measurement] = [
            _row(f"{name}: {range_} {unit}", correct[place == number])
            for number, (name, range_) in enumerate(zip(names, ranges, strict=True))
        ]
    return found


def _row(name: str, correct: np.ndarray) -> Row:
    row: Row = {"slice": name, "images": len(correct), "errors": int((~correct).sum())}
    if not len(correct):
        return row
    low, high = interval(int(correct.sum()), len(correct))
    return row | {"accuracy": rounded(correct.mean()), "accuracy_low": low, "accuracy_high": high}
