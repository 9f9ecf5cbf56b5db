import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from digits.errors import InputError
from pipeline import params
from pipeline.classifiers import kinds
from pipeline.commands import new_model
from tests.conftest import ROOT, call

PARAMS = (ROOT / "params.yaml").read_text()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, a copy of this project's Python files and params.yaml."""
    for name in ("digits", "pipeline", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_test_of_a_new_model_passes_at_once_and_not_when_the_model_is_broken(
    folder: Path, stages_served: None
) -> None:
    output = call(folder, "python", "-m", "pipeline.commands.new_model", "my_net2", "--like", "cnn_fast")
    test = "tests/pipeline/classifiers/test_my_net2.py"
    assert "pipeline/classifiers/my_net2.py: a copy of cnn_fast.py to be changed." in output
    assert f"python -m pytest -n 0 {test}" in output
    assert "2 passed" in call(folder, "python", "-m", "pytest", "-n", "0", "-q", test)
    file = folder / "pipeline/classifiers/my_net2.py"
    assert file.read_text().startswith('"""my_net2, which began as a copy of cnn_fast: describe it here.\n\nSmall conv')
    file.write_text(file.read_text().replace(", classes))", ", classes + 1))"))
    assert "2 failed" in call(folder, "python", "-m", "pytest", "-n", "0", "-q", test, fails=True)


@pytest.mark.parametrize("like", kinds())
def test_params_yaml_gets_one_entry_more_and_keeps_every_other_line(like: str) -> None:
    added = new_model.with_entry(PARAMS, "mine", like)
    before, after = PARAMS.splitlines(), added.splitlines()
    start = after.index("  mine:")
    count = len(after) - len(before)
    assert after[:start] + after[start + count :] == before
    old, new = (YAML(typ="safe").load(text) for text in (PARAMS, added))
    models = [*old["models"].values(), *old["presets"].values()]
    first = next(entry for entry in models if entry["kind"] == like)
    assert new["models"] == old["models"] | {"mine": first | {"kind": "mine"}}
    assert list(new["models"])[-1] == "mine"
    assert new["presets"] == old["presets"]


def test_comments_of_the_entry_are_copied_and_those_of_the_next_section_stay() -> None:
    added = new_model.with_entry(PARAMS, "mine", "cnn")
    assert added.count("checkpoint: last # the weights of the last epoch") == 2
    own = added[added.index("  mine:\n") :]
    assert own.index("# Models that `dvc repro` does not build") < own.index("presets:")
    assert added.count("# Models that `dvc repro` does not build") == 1


def test_another_layout_of_params_yaml_is_an_error() -> None:
    models = "models: {svm: {kind: svm, training_set: prepared}}\npresets: {}\n"
    with pytest.raises(InputError, match=r"expected models and presets with one key per line.* models\.mine yourself"):
        new_model.with_entry(models, "mine", "svm")
    with pytest.raises(InputError, match="expected a model of kind cnn under models or presets"):
        new_model.with_entry(models, "mine", "cnn")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My-Net", r"new_model: name: found 'My-Net' \(str\)\. String should match pattern"),
        ("best", r"new_model: name: found 'best' .*The pipeline uses this name itself"),
        ("svm", r"pipeline/classifiers/svm\.py exists already\. Choose another name, or delete it\."),
        ("mine", r"tests/pipeline/classifiers/test_mine\.py exists already"),
        ("ensemble", r"params\.yaml: presets\.ensemble exists already\. Choose another name"),
    ],
)
def test_names_that_are_not_allowed_or_in_use_change_nothing(folder: Path, name: str, message: str) -> None:
    (folder / "tests/pipeline/classifiers/test_mine.py").touch()
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    with pytest.raises(InputError, match=message):
        new_model.main(name, "--like", "cnn")
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == before


def test_an_unknown_kind_ends_with_the_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        new_model.main("mine", "--like", "cmm")
    assert caught.value.code == 2
    assert "invalid choice: 'cmm' (choose from " in capsys.readouterr().err


def test_params_yaml_is_valid_afterwards(folder: Path) -> None:
    new_model.main("mine", "--like", "svm")
    assert params.load().models["mine"] == params.load().models["svm"] | {"kind": "mine"}
