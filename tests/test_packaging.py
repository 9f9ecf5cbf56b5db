"""The distribution `mnist-digits`: metadata, wheel, and the files that build and check it. Runs offline."""

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = re.compile(r"^[a-z0-9-]+")


def names(requirements: list[str | dict[str, str]]) -> set[str]:
    return {NAME.match(requirement)[0] for requirement in requirements if isinstance(requirement, str)}


def build(project: Path, target: str, folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", folder],
        cwd=project,
        check=True,
        capture_output=True,
    )
    (built,) = folder.iterdir()
    return built


def workflow(job: str) -> list[str]:
    """Return the commands of a job of CI."""
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"][job]["steps"]
    return [step["run"] for step in steps if "run" in step]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def test_the_reader_depends_on_four_packages() -> None:
    assert names(PROJECT["project"]["dependencies"]) == {"numpy", "onnxruntime", "opencv-python-headless", "pillow"}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-serve.lock"])
def test_a_lock_has_every_package_that_pyproject_names_for_it(lock: str) -> None:
    groups = PROJECT["dependency-groups"]
    wanted = names(PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["serve"])
    if lock == "requirements.lock":
        wanted |= names(groups["pipeline"] + groups["dev"]) | names(PROJECT["build-system"]["requires"])
    text = (ROOT / lock).read_text()
    assert wanted <= set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    assert "://" not in text


def test_the_wheel_contains_the_reader_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "digits"], cwd=ROOT, text=True)
    reader = {name for name in listed.splitlines() if (ROOT / name).exists()}
    assert found == reader | {"digits/shipped/model.json", "digits/shipped/model.onnx"}
    assert {f"digits/server/page/{name}" for name in ("index.html", "page.css", "page.js", "pad.js")} <= found
    assert len(licences) == 1


def test_the_shipped_model_is_the_best_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in ("model.onnx", "model.json"):
            assert archive.read(f"digits/shipped/{name}") == (ROOT / "models/best" / name).read_bytes()


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build(ROOT, "sdist", tmp_path / "sdist")) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)  # Python < 3.11.4
        archive.extractall(tmp_path)
    (source,) = tmp_path.glob("mnist_digits-*")
    assert build(source, "wheel", tmp_path / "wheel").read_bytes() == wheel.read_bytes()


def test_an_installed_wheel_reads_a_digit_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    image = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(image).line([(60, 50), (140, 50), (90, 150)], fill=0, width=14, joint="curve")
    image.save(tmp_path / "seven.png")
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--target"]
    subprocess.run([sys.executable, "-m", "pip", *install, tmp_path / "installed", wheel], check=True)

    def run(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
        return subprocess.check_output([sys.executable, *arguments], cwd=tmp_path, env=environment, text=True)

    where = run("-c", "from digits.model import shipped_model; print(shipped_model())").strip()
    assert Path(where) == tmp_path / "installed/digits/shipped"
    (read,) = json.loads(run("-m", "digits.cli", "--json", "seven.png"))
    assert read["text"] == "7"


@pytest.mark.parametrize("name", PROJECT["project"]["scripts"])
def test_the_commands_start(name: str) -> None:
    done = subprocess.run([Path(sys.executable).parent / name, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: {name} ")


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]


def test_hooks_run_the_commands_of_make_check() -> None:
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [shlex.split(hook["entry"]) for hook in local["hooks"]]
    commands = [" ".join(entry[2:] if entry[:2] == ["bash", "-c"] else entry) for entry in entries]
    assert [command.removeprefix(".venv/bin/") for command in commands] == [
        line.strip() for line in recipe.splitlines()
    ]


def test_the_workflow_runs_the_same_script_as_any_other_ci() -> None:
    assert workflow("check") == [".ci/run"]


def test_the_workflow_installs_without_make_as_the_documentation_says() -> None:
    section = (ROOT / "docs/reference/commands.md").read_text().partition("### Install without make")[2]
    documented = re.findall(r"^\$ ((?:python|uv) .*)$", section.partition("\n#")[0], re.MULTILINE)
    assert [command for command in workflow("systems") if command.startswith(("python", "uv"))] == documented
    locked = re.search(r"^uv==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)[0]
    assert f"python -m pip install {locked}" in documented
