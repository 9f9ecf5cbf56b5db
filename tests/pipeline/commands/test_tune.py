import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from digits.errors import InputError
from pipeline import json_file, params
from pipeline.classifiers import model_config
from pipeline.commands import tune
from pipeline.datasets.arrays import LabelledImages
from pipeline.params import Params
from tests.conftest import ROOT, set_params

CORES = os.cpu_count() or 1
DOCUMENTED = re.findall(r"-S '?models\.(\w+)\.(\w+)=([^' ]+)", (ROOT / "docs/tuning.md").read_text())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("C: {low: 0.001", "C: {lwo: 0.001", "tuning.spaces.logreg.C.lwo: unknown key. Did you mean 'low'?"),
        ("C: {low: 0.001", "C: {low: 20.0", "tuning.spaces.logreg.C: found {'low': 20.0"),
        ("C: {low: 0.001", "C: {low: 0", "Expected low < high, both above 0."),
        ("C: {low: 0.001", "C: {low: small", "tuning.spaces.logreg.C.low"),
        ("  trials: ", "  trails: ", "tuning.trails: unknown key. Did you mean 'trials'?"),
    ],
)
def test_the_section_tuning_is_validated(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (ROOT / "params.yaml").read_text()
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new))
    with pytest.raises(InputError) as caught:
        params.load(tmp_path / "params.yaml")
    assert message in str(caught.value)


def test_apply_changes_the_given_values_and_nothing_else(tmp_path: Path) -> None:
    before = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(before)
    tune.apply("svm", {"C": 123.0, "components": 61}, tmp_path / "params.yaml")
    after = (tmp_path / "params.yaml").read_text()
    changed = [(a, b) for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]
    assert [b for _, b in changed] == ["    components: 61", "    C: 123.0"]


@pytest.mark.parametrize(("model", "key", "values"), DOCUMENTED)
def test_every_documented_change_is_allowed(settings: Params, model: str, key: str, values: str) -> None:
    assert key in model_config(model, settings).hyperparameters
    for value in values.split(","):
        model_config(model, settings.with_model(model, {key: yaml.safe_load(value)}))


def test_a_sweep_is_documented_for_every_model(settings: Params) -> None:
    assert {model for model, _, _ in DOCUMENTED} <= set(settings.models)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: LabelledImages) -> Path:
    """Return the current folder, with params.yaml, 400 training and 200 validation images."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    data = Path("data/prepared")
    digits.first(400).save(data / "train")
    LabelledImages(digits.images[1000:1200], digits.labels[1000:1200]).save(data / "validation")
    metadata = {
        "title": "few",
        "classes": [str(digit) for digit in range(10)],
        "digits": True,
        "warp": 1,
        "horizontal_flip": False,
        "images_per_class": {"train": [40] * 10, "validation": [20] * 10},
    }
    json_file.write(data / "metadata.json", metadata | {"train_pixel_mean": 0.13, "train_pixel_std": 0.3})
    quick = {"features": "pixels", "n_estimators": "3", "training_set": "prepared", "augmentation": "none"}
    set_params(
        tmp_path, {"tuning.images": "400"} | {f"models.random_forest.{key}": value for key, value in quick.items()}
    )
    return tmp_path


def test_an_interrupted_command_gives_the_same_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two trials, then two more, give the record of four at once; --apply writes the best values to params.yaml."""
    record = Path("docs/tuning/random_forest.json")

    def run(count: int, *options: str) -> str:
        set_params(folder, {"tuning.trials": str(count)})
        tune.main("random_forest", *options)
        return capsys.readouterr().out

    assert run(2).startswith("trial 0: complete: 0.")
    assert "continuing after the 2 trials" in run(4)
    first = record.read_bytes()
    shutil.rmtree(".dvc")
    output = run(4, "--apply", "--confirm")
    assert "continuing" not in output
    again = json.loads(record.read_text())
    assert again.pop("confirmed")["images"] == 400
    assert again == json.loads(first)
    best = json.loads(first)["best"]["params"]
    assert f"dvc exp run -S models.random_forest.max_features={best['max_features']} -S" in output
    assert params.load().models["random_forest"].items() >= best.items()
    assert record.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(CORES < 2, reason="needs two cores")
def test_trials_at_once_are_repeatable_and_continue(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = Path("docs/tuning/random_forest.json")
    found = []
    for counts in ((2, 4), (4,)):
        for count in counts:
            set_params(folder, {"tuning.trials": str(count)})
            tune.main("random_forest", "--workers", "2")
        found.append(json.loads(record.read_text()))
        shutil.rmtree(".dvc")
    assert found[0] == found[1]
    assert [trial["number"] for trial in found[0]["trials"]] == [0, 1, 2, 3]
    assert len({trial["params"]["max_features"] for trial in found[0]["trials"]}) > 1
    assert "continuing after the 2 trials" in capsys.readouterr().out


@pytest.mark.parametrize("workers", ["0", "10000"])
def test_workers_are_at_most_as_many_as_cores(folder: Path, workers: str) -> None:
    with pytest.raises(InputError, match=rf"--workers: found {workers}\. Allowed: 1 to {CORES}, the number of cores"):
        tune.main("random_forest", "--workers", workers)


def test_more_images_than_there_are_is_an_error(folder: Path) -> None:
    set_params(folder, {"tuning.images": "401"})
    with pytest.raises(InputError, match=r"params\.yaml: tuning\.images: found 401\. Allowed: up to 400\."):
        tune.main("random_forest")


def test_wrong_arguments_end_with_the_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["svm", "--fast"]):
        with pytest.raises(SystemExit) as caught:
            tune.main(*arguments)
        assert caught.value.code == 2
        usage = "usage: python -m pipeline.commands.tune [-h] [--confirm] [--apply] [--workers WORKERS]"
        assert usage in " ".join(capsys.readouterr().err.split())
