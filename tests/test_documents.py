"""What documents claim: that the tests they name exist, and that their sums are right."""

import re

import pytest

from tests.conftest import ROOT

SCORE = (ROOT / "docs/ml-test-score.md").read_text()
ITEMS = re.findall(r"^\| (\d) \|(.*)\| ([\d.]+) \|$", SCORE, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[^`]+::\w+)`", SCORE))))
def test_every_test_that_the_score_names_exists(name: str) -> None:
    file, function = name.split("::")
    assert f"\ndef {function}(" in (ROOT / file).read_text()


def test_the_score_has_all_items_and_counts_them_rightly() -> None:
    assert [number for number, _, _ in ITEMS] == list("1234567") * 4
    assert {points for _, _, points in ITEMS} <= {"0", "0.5", "1"}
    for _, text, points in ITEMS:
        assert ("tests/" in text) >= (points == "1"), f"a whole point without a test: {text}"
    sums = [sum(float(points) for _, _, points in ITEMS[start : start + 7]) for start in range(0, 28, 7)]
    said = re.findall(r"^\| (?!section)[A-Z][a-z ]+ \| ([\d.]+) \|$", SCORE, re.MULTILINE)
    assert [float(points) for points in said] == sums
    assert f"| **score: the least** | **{min(sums):g}** |" in SCORE


def test_every_target_of_make_that_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        named = set(re.findall(r"`make ([a-z]+)", file.read_text()))
        assert named <= targets, f"{file.name}: make {', '.join(named - targets)}"
