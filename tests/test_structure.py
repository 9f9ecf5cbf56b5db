"""The house rules: who may import whom, and that DVC knows of every module that a stage imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = (
    "download",
    "preprocess",
    "augment",
    "corrupt",
    "explore",
    "gate",
    "train",
    "cross_validate",
    "evaluate",
    "suspects",
    "report",
)
LEARNING = ("train", "cross_validate", "suspects")  # they import the file of the model's kind
ROOMS = ("classifiers", "datasets", "imaging", "reporting", "scoring", "training")
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
            if name in LEARNING:
                kinds = [entry["kind"]] if model else [entry["kind"] for entry in MODELS.values()]
                files |= {file for kind in kinds for file in reached(Path("pipeline/classifiers") / f"{kind}.py")}
            yield f"{name}@{model}" if model else name, ast.literal_eval(filled), files


# How stages report errors and read parameters decides no result; `params:` in dvc.yaml follows the values themselves.
# The others are packages with a docstring only.
HARMLESS = {Path("pipeline/errors.py"), Path("pipeline/params.py")} | {
    Path("pipeline", room, "__init__.py") for room in ("", "datasets", "imaging", "reporting")
}


@pytest.mark.parametrize(("name", "deps", "files"), [pytest.param(*stage, id=stage[0]) for stage in stages()])
def test_dvc_knows_every_module_that_a_stage_imports(name: str, deps: list[str], files: set[Path]) -> None:
    covered = [Path(dep) for dep in deps]
    missing = {file for file in files - HARMLESS if not any(file == dep or dep in file.parents for dep in covered)}
    assert not missing, f"{name} in dvc.yaml lacks: {sorted(map(str, missing))}"


def test_dvc_follows_no_module_that_no_stage_of_that_name_imports() -> None:
    listed: dict[str, set[Path]] = {}
    used: dict[str, set[Path]] = {}
    for name, deps, files in stages():
        listed.setdefault(name.split("@")[0], set()).update(Path(dep) for dep in deps if dep.startswith("pipeline"))
        used.setdefault(name.split("@")[0], set()).update(files)
    for name, deps in listed.items():
        idle = [str(dep) for dep in deps if not any(file == dep or dep in file.parents for file in used[name])]
        assert not idle, f"{name} in dvc.yaml need not list: {idle}"


def test_a_docstring_is_all_that_harmless_packages_hold() -> None:
    for file in HARMLESS:
        if file.name == "__init__.py":
            assert len(ast.parse((ROOT / file).read_text()).body) == 1, file


def test_no_stage_imports_another() -> None:
    files = {Path("pipeline") / f"{name}.py" for name in (*STAGES, "predict")}
    for file in files:
        assert not (set(imports(file)) & files), file


def test_rooms_do_not_import_upstairs() -> None:
    upstairs = {Path("pipeline") / f"{name}.py" for name in (*STAGES, "predict", "runtime")}
    for room in ROOMS:
        for file in (ROOT / "pipeline" / room).rglob("*.py"):
            assert not (set(imports(file.relative_to(ROOT))) & upstairs), file


@pytest.mark.parametrize("name", STAGES)
def test_threads_and_instruction_sets_are_pinned_before_anything_loads(name: str) -> None:
    tree = ast.parse((ROOT / "pipeline" / f"{name}.py").read_text())
    standard = {"csv", "hashlib", "json", "os", "shutil", "statistics", "sys", "pathlib", "collections.abc", "typing"}
    loaded = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            loaded.append(f"{node.module}.{node.names[0].name}" if node.module == "pipeline" else node.module)
        elif isinstance(node, ast.Import):
            loaded.append(node.names[0].name)
    assert next(module for module in loaded if module not in standard) == "pipeline.runtime"


def test_no_pickles() -> None:
    for file in (ROOT / "pipeline").rglob("*.py"):
        text = file.read_text()
        assert not any(word in text for word in ("import pickle", "import joblib", "torch.save(", "torch.load("))
