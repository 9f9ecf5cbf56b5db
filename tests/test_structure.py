"""Rules of the architecture: which modules may import which, and that dvc.yaml lists what a stage imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = tuple(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
TRAINING = ("train", "cross_validate", "label_errors")  # they import the file of the model's kind
COMMANDS = ("doctor", "fingerprints", "new_model", "publish", "quickstart", "repro", "tune", "verify")
MODELS = yaml.safe_load((ROOT / "params.yaml").read_text())["models"]


def file_of(module: str) -> Path | None:
    """Return the file of `module`, relative to the root, if it is one of this project."""
    path = Path(module.replace(".", "/"))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate
    return None


def imports(file: Path) -> Iterator[Path]:
    """Yield the files of this project that `file` imports itself, with the packages they are in."""
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                if found := file_of(".".join(parts[:length])):
                    yield found


def reached(file: Path) -> set[Path]:
    """Return `file` and every file of this project that importing it loads."""
    seen, todo = set(), [file]
    while todo:
        here = todo.pop()
        if here not in seen:
            seen.add(here)
            todo += imports(here)
    return seen


def stages() -> Iterator[tuple[str, list[str], set[Path]]]:
    """Yield each stage of dvc.yaml, models filled in: its name, its deps, and the files that it imports."""
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        for model, entry in MODELS.items() if "foreach" in stage else [("", {})]:
            filled = str(stage.get("do", stage)["deps"]).replace("${key}", model)
            for key, value in entry.items():
                filled = filled.replace(f"${{item.{key}}}", str(value))
            files = reached(Path("pipeline") / f"{name}.py")
            if name in TRAINING:
                kinds = [entry["kind"]] if model else [entry["kind"] for entry in MODELS.values()]
                files |= {file for kind in kinds for file in reached(Path("pipeline/classifiers") / f"{kind}.py")}
            yield f"{name}@{model}" if model else name, ast.literal_eval(filled), files


# Error messages, checksums and the schema of parameters decide no result; `params:` in dvc.yaml lists the values
# themselves. The others are packages that hold a docstring only.
WITHOUT_EFFECT = {Path("digits/errors.py"), Path("digits/checksums.py"), Path("pipeline/params.py")}
DOCSTRING_ONLY = {Path("digits/__init__.py")} | {
    Path("pipeline", room, "__init__.py")
    for room in ("", "commands", "datasets", "onnx_graph", "ood", "reporting", "robustness")
}


@pytest.mark.parametrize(("name", "deps", "files"), [pytest.param(*stage, id=stage[0]) for stage in stages()])
def test_dvc_yaml_lists_every_module_that_a_stage_imports(name: str, deps: list[str], files: set[Path]) -> None:
    covered = [Path(dep) for dep in deps]
    missing = {
        file
        for file in files - WITHOUT_EFFECT - DOCSTRING_ONLY
        if not any(file == dep or dep in file.parents for dep in covered)
    }
    assert not missing, f"{name} in dvc.yaml lacks: {sorted(map(str, missing))}"


def test_dvc_yaml_lists_no_module_that_a_stage_does_not_import() -> None:
    listed: dict[str, set[Path]] = {}
    used: dict[str, set[Path]] = {}
    for name, deps, files in stages():
        listed.setdefault(name.split("@")[0], set()).update(
            Path(dep) for dep in deps if dep.startswith(("pipeline", "digits"))
        )
        used.setdefault(name.split("@")[0], set()).update(files)
    for name, deps in listed.items():
        idle = [str(dep) for dep in deps if not any(file == dep or dep in file.parents for file in used[name])]
        assert not idle, f"{name} in dvc.yaml need not list: {idle}"


def test_packages_that_dvc_yaml_omits_hold_a_docstring_only() -> None:
    for file in DOCSTRING_ONLY:
        assert len(ast.parse((ROOT / file).read_text()).body) == 1, file


def test_every_stage_is_a_script_of_its_name() -> None:
    modules = {"__init__", "api", "params", "runtime", "json_file"}
    assert {path.stem for path in (ROOT / "pipeline").glob("*.py")} - modules == set(STAGES)


def test_no_stage_imports_a_stage() -> None:
    files = {Path("pipeline") / f"{name}.py" for name in STAGES}
    for file in files:
        assert not (set(imports(file)) & files), file


def test_rooms_import_neither_stages_nor_commands_nor_the_launcher() -> None:
    above = {Path("pipeline") / f"{name}.py" for name in (*STAGES, "runtime")}
    above |= {Path("pipeline/commands") / f"{name}.py" for name in COMMANDS}
    rooms = [path for path in (ROOT / "pipeline").iterdir() if path.is_dir() and path.name != "commands"]
    for file in [file for room in rooms for file in room.rglob("*.py")]:
        assert not (set(imports(file.relative_to(ROOT))) & above), file


def test_the_reader_does_not_import_the_pipeline() -> None:
    for file in (ROOT / "digits").rglob("*.py"):
        found = {path.parts[0] for path in imports(file.relative_to(ROOT))}
        assert found <= {"digits"}, file


def test_the_pipeline_does_not_depend_on_benchmarks() -> None:
    for file in [*(ROOT / "pipeline").rglob("*.py"), ROOT / "dvc.yaml"]:
        assert "benchmarks" not in file.read_text(), file


def test_rules_and_helpers_have_a_subject() -> None:
    names = {path.stem for package in ("digits", "pipeline") for path in (ROOT / package).rglob("*")}
    assert not names & {"common", "utils", "util", "helpers", "misc"}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_launches_before_it_imports_anything_else(name: str) -> None:
    """The launcher pins the environment; libraries that are imported earlier would not see it."""
    body = ast.parse((ROOT / "pipeline" / f"{name}.py").read_text()).body
    assert ast.unparse(body[1]) == "from pipeline.runtime import launch"
    assert ast.unparse(body[2]) == f"if __name__ == '__main__':\n    launch('pipeline.{name}')"


def test_no_pickles() -> None:
    for file in [file for package in ("digits", "pipeline") for file in (ROOT / package).rglob("*.py")]:
        text = file.read_text()
        assert not any(word in text for word in ("import pickle", "import joblib", "torch.save(", "torch.load("))
