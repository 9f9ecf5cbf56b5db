"""README and docs: links, tests, commands and numbers that they mention exist."""

import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, call

DOCUMENTS = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
SCORE = (ROOT / "docs/ml-test-score.md").read_text()
ITEMS = re.findall(r"^\| (\d) \|(.*)\| ([\d.]+) \|$", SCORE, re.MULTILINE)
MAX_README = 180  # lines, without the code of cog's blocks
EARLIER = ("pipeline.predict", "pipeline.serve")  # commands that the changelog says were renamed

documents = pytest.mark.parametrize("file", [pytest.param(file, id=file.name) for file in DOCUMENTS])


def text_of(file: Path) -> str:
    """Return the text of a document without the code of cog's blocks."""
    return re.sub(r"<!-- \[\[\[cog.*?\]\]\] -->", "", file.read_text(), flags=re.DOTALL)


def headings(file: Path) -> set[str]:
    """Return the anchors of the headings in a document, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@cache
def options(module: str) -> set[str]:
    """Return the options in the help of a command."""
    return set(re.findall(r"--[a-z-]+", call(ROOT, sys.executable, "-m", module, "--help")))


@documents
def test_links_lead_to_files_in_git(file: Path) -> None:
    tracked = set(call(ROOT, "git", "ls-files").split())
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(file)):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (file.parent / path).resolve() if path else file
        inside = target.relative_to(ROOT).as_posix()
        assert inside in tracked or any(name.startswith(f"{inside}/") for name in tracked), link
        assert not anchor or anchor in headings(target), link


@documents
def test_targets_of_make_exist(file: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^\$ |&& )make ([a-z]+)", file.read_text(), re.MULTILINE))
    assert named <= targets


@documents
def test_commands_exist(file: Path) -> None:
    for module in re.findall(r"python -m ([\w.]+)", text_of(file)):
        assert module in EARLIER or find_spec(module), module
    for script, module in (("digits", "digits.cli"), ("digits-serve", "digits.server")):
        for line in re.findall(rf"^\$ (?:.*&& )?{script}( .*)$", text_of(file), re.MULTILINE):
            for option in re.findall(r" (--[a-z-]+)", line.partition("#")[0]):
                assert option in options(module), f"{script} {option}"


@documents
def test_parameters_in_experiments_exist(file: Path) -> None:
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key in re.findall(r"-S '?([\w.]+)=", file.read_text()):
        section = settings
        for part in key.split("."):
            assert part in section, key
            section = section[part]


def test_the_readme_is_short() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) < MAX_README


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[^`]+::\w+)`", SCORE))))
def test_every_test_that_the_score_cites_exists(name: str) -> None:
    file, function = name.split("::")
    assert f"\ndef {function}(" in (ROOT / file).read_text()


def test_the_score_has_all_items_and_adds_them_up() -> None:
    assert [number for number, _, _ in ITEMS] == list("1234567") * 4
    assert {points for _, _, points in ITEMS} <= {"0", "0.5", "1"}
    for _, text, points in ITEMS:
        assert ("tests/" in text) >= (points == "1"), f"a whole point without a test: {text}"
    sums = [sum(float(points) for _, _, points in ITEMS[start : start + 7]) for start in range(0, 28, 7)]
    said = re.findall(r"^\| (?!section)[A-Z][a-z ]+ \| ([\d.]+) \|$", SCORE, re.MULTILINE)
    assert [float(points) for points in said] == sums
    assert f"| **score: the minimum** | **{min(sums):g}** |" in SCORE
