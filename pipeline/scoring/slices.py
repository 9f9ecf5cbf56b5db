"""Accuracy on parts of the images: each digit, thin and thick strokes, left and right slant, small and large ink."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.imaging.measurements import MEASUREMENTS
from pipeline.scoring.rounding import rounded
from pipeline.scoring.uncertainty import interval

NAMES = {
    "stroke_width": (("thin", "medium", "thick"), "pixels"),
    "slant": (("least to the right", "medium", "most to the right"), "degrees"),
    "size": (("small", "medium", "large"), "square pixels"),
}

Row = dict[str, str | float]


def slices(
    images: np.ndarray, labels: np.ndarray, right: np.ndarray, thirds: Mapping[str, Sequence[float]]
) -> dict[str, list[Row]]:
    """Return, for digit, stroke width, slant and size, a row per part of `images` (n, 28, 28): its name, number of
    images and of errors, accuracy and its 95% interval (absent where no image is in it).

    Args:
        labels, right: (n,) digits, and whether the model read them right.
        thirds: two values of each of `pipeline.imaging.measurements` between its three parts; a value on a bound is in
            the lower part.
    """
    found = {"digit": [_row(str(digit), right[labels == digit]) for digit in range(10)]}
    for measurement, bounds in thirds.items():
        names, unit = NAMES[measurement]
        place = np.searchsorted(bounds, MEASUREMENTS[measurement](images))
        low, high = bounds
        ranges = (f"up to {low:g}", f"{low:g} to {high:g}", f"over {high:g}")
        found[measurement] = [
            _row(f"{name}: {range_} {unit}", right[place == number])
            for number, (name, range_) in enumerate(zip(names, ranges, strict=True))
        ]
    return found


def _row(name: str, right: np.ndarray) -> Row:
    row: Row = {"slice": name, "images": len(right), "errors": int((~right).sum())}
    if not len(right):
        return row
    low, high = interval(int(right.sum()), len(right))
    return row | {"accuracy": rounded(right.mean()), "accuracy_low": low, "accuracy_high": high}
