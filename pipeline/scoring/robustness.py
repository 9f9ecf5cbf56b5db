"""Summaries of accuracy and coverage on corrupted images."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.scoring.rounding import rounded

MEASURES = ("accuracy", "coverage", "accepted_and_correct")


def summarise(cells: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean of each of MEASURES over `cells`, one per corruption and severity, and the worst
    `accepted_and_correct`.
    """
    means = {measure: rounded(sum(cell[measure] for cell in cells) / len(cells)) for measure in MEASURES}
    return means | {"worst_accepted_and_correct": min(cell["accepted_and_correct"] for cell in cells)}


def by_severity(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return a row per severity with the mean of each of MEASURES over all corruptions."""
    severities = sorted({cell["severity"] for cell in cells})
    rows = []
    for severity in severities:
        chosen = [cell for cell in cells if cell["severity"] == severity]
        summary = summarise(chosen)
        rows.append({"severity": severity, **{measure: summary[measure] for measure in MEASURES}})
    return rows
