from pipeline.scoring import robustness

CELLS = [
    {"corruption": "fog", "severity": 1, "accuracy": 1.0, "coverage": 1.0, "accepted_and_correct": 1.0},
    {"corruption": "fog", "severity": 2, "accuracy": 0.75, "coverage": 0.5, "accepted_and_correct": 0.5},
    {"corruption": "blur", "severity": 1, "accuracy": 1.0, "coverage": 0.75, "accepted_and_correct": 0.75},
    {"corruption": "blur", "severity": 2, "accuracy": 0.25, "coverage": 0.5, "accepted_and_correct": 0.25},
]


def test_the_summary_has_means_and_the_worst_cell() -> None:
    assert robustness.summarise(CELLS) == {
        "accuracy": 0.75,
        "coverage": 0.6875,
        "accepted_and_correct": 0.625,
        "worst_accepted_and_correct": 0.25,
    }


def test_severities_are_averaged_over_corruptions() -> None:
    first, second = robustness.by_severity(CELLS)
    assert first == {"severity": 1, "accuracy": 1.0, "coverage": 0.875, "accepted_and_correct": 0.875}
    assert second == {"severity": 2, "accuracy": 0.5, "coverage": 0.5, "accepted_and_correct": 0.375}


def test_means_are_rounded_to_six_decimals() -> None:
    cells = [cell | {"accuracy": value} for cell, value in zip(CELLS[:3], (1, 0, 0), strict=True)]
    assert robustness.summarise(cells)["accuracy"] == 0.333333
