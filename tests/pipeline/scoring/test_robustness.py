import json
from typing import Any

import pytest

from pipeline.scoring import robustness


def cell(corruption: str, severity: int, accuracy: float, coverage: float, correct: float) -> dict[str, Any]:
    published = corruption == "fog" and severity == 2
    values = (accuracy, coverage, correct / coverage if coverage else 0.0, correct)
    return {"corruption": corruption, "severity": severity, "published": published} | dict(
        zip(robustness.MEASURES, values, strict=True)
    )


CELLS = [
    cell("fog", 1, 1.0, 1.0, 1.0),
    cell("fog", 2, 0.75, 0.5, 0.5),
    cell("blur", 1, 1.0, 0.75, 0.75),
    cell("blur", 2, 0.25, 0.25, 0.125),
]
CELLS = json.loads(json.dumps(CELLS))  # as from results/


def test_means_count_images_not_cells() -> None:
    found = robustness.means(CELLS)
    assert found == {"accuracy": 0.75, "coverage": 0.625, "selective_accuracy": 0.95, "accepted_and_correct": 0.59375}
    assert found["selective_accuracy"] * found["coverage"] == pytest.approx(found["accepted_and_correct"])


def test_nothing_accepted_is_no_error() -> None:
    assert robustness.means([cell("fog", 1, 0.5, 0, 0)])["selective_accuracy"] == 0


def test_the_summary_names_the_worst_of_all_and_of_the_published() -> None:
    summary = robustness.summarise(CELLS)
    assert summary["all"] == robustness.means(CELLS) | {
        "worst": {"corruption": "blur", "severity": 2, "accepted_and_correct": 0.125}
    }
    assert summary["published"] == robustness.means(CELLS[1:2]) | {
        "worst": {"corruption": "fog", "severity": 2, "accepted_and_correct": 0.5}
    }


def test_severities_are_averaged_over_corruptions() -> None:
    first, second = robustness.by_severity(CELLS)
    assert first == {"severity": 1, **robustness.means([CELLS[0], CELLS[2]])}
    assert second == {"severity": 2, **robustness.means([CELLS[1], CELLS[3]])}


def test_corruptions_are_averaged_over_severities() -> None:
    assert robustness.by_corruption(CELLS) == [
        {"corruption": "fog", **robustness.means(CELLS[:2])},
        {"corruption": "blur", **robustness.means(CELLS[2:])},
    ]


def test_means_are_rounded_to_six_decimals() -> None:
    cells = [cell | {"accuracy": value} for cell, value in zip(CELLS[:3], (1, 0, 0), strict=True)]
    assert robustness.means(cells)["accuracy"] == 0.333333
