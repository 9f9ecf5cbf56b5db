"""Summaries of accuracy and coverage on corrupted images.

A cell is one corruption at one severity: a dictionary with `corruption`, `severity`, `published` (whether it is a
corruption of MNIST-C with its published parameters) and MEASURES. All cells have the same number of images.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.scoring.rounding import rounded

MEASURES = ("accuracy", "coverage", "selective_accuracy", "accepted_and_correct")

Cell = Mapping[str, Any]


def means(cells: Sequence[Cell]) -> dict[str, float]:
    """Return each of MEASURES over the images of all `cells`.

    These are the means over cells, except that selective_accuracy, a ratio, is that of all accepted images together.
    """
    accuracy, coverage, correct = (
        sum(cell[measure] for cell in cells) / len(cells)
        for measure in ("accuracy", "coverage", "accepted_and_correct")
    )
    values = (accuracy, coverage, correct / coverage if coverage else 0.0, correct)
    return dict(zip(MEASURES, map(rounded, values), strict=True))


def worst(cells: Sequence[Cell]) -> dict[str, Any]:
    """Return corruption, severity and `accepted_and_correct` of the cell with the smallest `accepted_and_correct`."""
    cell = min(cells, key=lambda cell: cell["accepted_and_correct"])
    return {key: cell[key] for key in ("corruption", "severity", "accepted_and_correct")}


def summarise(cells: Sequence[Cell]) -> dict[str, dict[str, Any]]:
    """Return `means` and, as `worst`, `worst` of `all` cells and of the `published` ones."""
    published = [cell for cell in cells if cell["published"]]
    return {
        name: {**means(chosen), "worst": worst(chosen)} for name, chosen in (("all", cells), ("published", published))
    }


def by_severity(cells: Sequence[Cell]) -> list[dict[str, float]]:
    """Return a row per severity: `severity`, and `means` over all corruptions."""
    return [
        {"severity": severity, **means([cell for cell in cells if cell["severity"] == severity])}
        for severity in sorted({cell["severity"] for cell in cells})
    ]


def by_corruption(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return a row per corruption, in their order: `corruption`, and `means` over all severities."""
    return [
        {"corruption": name, **means([cell for cell in cells if cell["corruption"] == name])}
        for name in dict.fromkeys(cell["corruption"] for cell in cells)
    ]
