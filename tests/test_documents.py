"""README and docs: links, tests, commands and numbers that they mention exist."""

import re
import shlex
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageDraw

from tests.conftest import ROOT, call, copy_project
from tests.test_site import Step, steps

DOCUMENTS = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs/reference/commands.md").read_text()
SCORE = (ROOT / "docs/ml-test-score.md").read_text()
ITEMS = re.findall(r"^\| (\d) \|(.*)\| ([\d.]+) \|$", SCORE, re.MULTILINE)
MAX_README = 200  # lines, without the code of cog's blocks
EARLIER = ("pipeline.predict", "pipeline.serve")  # commands that the changelog says were renamed

BLOCKS = [block for block in steps(README) if block.language in ("console", "python")]
EXECUTED = {"pip", "digits", "digits-serve", "python"}  # programs in the README; other commands take too long
OFFLINE = {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

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


def recipes() -> dict[str, list[str]]:
    """Return the commands of each target of the Makefile, with its variables filled in."""
    text = (ROOT / "Makefile").read_text().replace("\\\n\t", "")
    text = text.replace("$(COMPILE)", re.search(r"^COMPILE = (.*)$", text, re.MULTILINE)[1])
    text = text.replace("$(REPRO)", "dvc repro").replace("$(TO)", "TO")
    text = re.sub(r"\$\((?:if|or) \$\(\w+\),(.*?)\)", r"\1", text)
    targets = re.findall(r"^([a-z]+):.*\n((?:\t.*\n)*)", text, re.MULTILINE)
    return {
        target: [command for line in recipe.splitlines() for command in line.strip("\t@").split(" && ")]
        for target, recipe in targets
    }


def commands(block: Step) -> list[list[str]]:
    """Return the commands in a fenced block, each split into words."""
    lines = block.text.replace("$ ", "").splitlines()
    return [shlex.split(command, comments=True) for line in lines for command in line.split(" && ")]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of this project with the pictures that the README names, each of a 7."""
    folder = copy_project(tmp_path_factory.mktemp("repository"))
    image = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(image).line([(60, 50), (140, 50), (90, 150)], fill=0, width=14, joint="curve")
    for name in ("photo.png", "photo.jpg", "drawings/1.png", "scans/1.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        image.save(folder / name)
    return folder


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


def test_the_reference_has_the_commands_of_every_target() -> None:
    rows = dict(re.findall(r"^\| `([a-z]+)` (\|.*)$", COMMANDS, re.MULTILINE))
    blocks = "".join(re.findall(r"^\$ .*\n", COMMANDS, re.MULTILINE))
    found = recipes()
    assert rows.keys() == found.keys()
    for target in found.keys() - {"help", "install"}:
        for command in found[target]:
            forms = (f"`{command}`", f"`{command.removeprefix('python -m benchmarks.')}`", f"$ {command}\n")
            assert any(form in rows[target] + blocks for form in forms), f"{target}: {command}"


def test_commands_of_the_readme_are_executed_or_it_says_why_not() -> None:
    assert len(BLOCKS) == len(re.findall(r"^```(?:console|python|bash|sh|shell|powershell)$", README, re.MULTILINE))
    for block in BLOCKS:
        if block.language == "console":
            assert block.text.count("$ ") == len(block.text.splitlines())
            assert ({words[0] for words in commands(block)} <= EXECUTED) == (not block.reason), block.text


@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.reason], ids=lambda block: block.text[:20])
def test_commands_of_the_readme(block: Step, repository: Path) -> None:
    if block.language == "python":
        (repository / "example.py").write_text(block.text)
        call(repository, "python", "example.py")
        return
    for words in commands(block):
        if words == ["digits-serve"]:
            serve = [Path(sys.executable).with_name("digits-serve"), "--port", "0"]
            with subprocess.Popen(serve, cwd=repository, stdout=subprocess.PIPE, text=True) as service:
                logged = service.stdout.readline()
                service.terminate()
            assert '"event": "start"' in logged
        else:
            printed = call(repository, *words, **OFFLINE)
            assert "Would install mnist-digits" in printed or words[0] != "pip"
            assert "photo.png: 7 " in printed or words[0] != "digits"


@documents
def test_parameters_in_experiments_exist(file: Path) -> None:
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    text = file.read_text()
    for name, kind in re.findall(r"new_model (\w+) --like (\w+)", text):  # a reader of the document has these, too
        settings["models"][name] = settings["models"].get(kind)
    for key in re.findall(r"-S '?([\w.]+)=", text):
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
