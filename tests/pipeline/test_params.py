import os
import subprocess
import sys
from math import inf
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from digits.errors import InputError
from pipeline import params
from pipeline.params import Params
from tests.conftest import ROOT

GOOD = (ROOT / "params.yaml").read_text()


def load(tmp_path: Path, text: str) -> Params:
    (tmp_path / "params.yaml").write_text(text)
    return params.load(tmp_path / "params.yaml")


def test_the_committed_file_is_valid(settings: Params) -> None:
    assert settings.dataset == "mnist"
    assert settings.split.validation == 5000
    assert set(settings.models) >= {"logreg", "svm", "random_forest", "mlp", "lenet", "cnn"}
    assert params.STORED_POLICY in settings.augmentation
    assert settings.augmentation["none"].changes_nothing
    assert not settings.augmentation["standard"].changes_nothing


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD.replace("    shear: 0.2\n", "    shear: 1e-3\n")).augmentation["standard"].shear == 0.001


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "validation: 5000",
            "validation: 0",
            "split.validation: found 0 (int). Input should be greater than 0",
        ),
        (
            "validation: 5000",
            "validation: '5000'",
            "split.validation: found '5000' (str). Input should be a valid",
        ),
        ("validation: 5000", "validatoin: 5000", "split.validatoin: unknown key. Did you mean 'validation'?"),
        ("validation: 5000", "validatoin: 5000", "split.validation: missing."),
        ("    shear: 0.2\n", "    shear: .nan\n", "augmentation.standard.shear: found nan (float). Input should be"),
        ("    shear: 0.2\n", "    sheer: 0.2\n", "augmentation.standard.sheer: unknown key. Did you mean 'shear'?"),
        ("threads: 2", "threads: true", "runtime.threads: found True (bool). Input should be a valid integer"),
        ("reproducible: true", "reproducible: 1", "reproducible: found 1 (int). Input should be a valid boolean"),
        ("seed: 42\n", "seed: -1\n", "seed: found -1 (int). Input should be greater than or equal to 0"),
        ("outliers: 50000", "outliers: 0.5", "ood.outliers: found 0.5 (float). Input should be a valid integer"),
        ("    steps: 5000", "    step: 5000", "ood.detector.step: unknown key. Did you mean 'steps'?"),
        ("dataset: mnist", "datasets: mnist", "datasets: unknown key. Did you mean 'dataset'? Allowed: dataset, seed,"),
        ("dataset: mnist", "dataset: mnist\ndataset: digits", 'found duplicate key "dataset"'),
        ("dataset: mnist", "dataset: [mnist", "is not valid YAML"),
        ("  logreg:\n    kind", "  a; b:\n    kind", "models.a; b: found 'a; b' (str). String should match pattern"),
        ("  logreg:\n    kind", "  ../logreg:\n    kind", "models.../logreg: found '../logreg' (str). String should"),
        ("  logreg:\n    kind", "  Logreg:\n    kind", "models.Logreg: found 'Logreg' (str). String should match"),
        ("  logreg:\n    kind", "  7:\n    kind", "models.7: found 7 (int). Input should be a valid string"),
        (
            "  logreg:\n    kind",
            "  best:\n    kind",
            "found 'best' (str). Value error, The pipeline uses this name itself",
        ),
        ("  ensemble:", "  -x:", "presets.-x: found '-x' (str). String should match pattern"),
    ],
)
def test_the_message_names_key_value_and_what_is_allowed(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert "params.yaml" in str(caught.value)
    assert message in str(caught.value)


# By key: values at both ends of its range, and values just outside.
RANGES = {
    "seed": ([0, 2**31 - 1], [-1, 2**31]),
    "split.validation": ([0.001, 0.999, 1, 2.0, 5000], [-0.5, 0, 1.5]),
    "folder.title": (["x"], [""]),
    "folder.height": ([1, 1024], [0, 1025]),
    "folder.width": ([1, 1024], [0, 1025]),
    "folder.warp": ([0.0, 1.0], [-0.1, 1.1]),
    "folder.test": ([0.001, 0.999], [0.0, 1.0]),
    "augmentation.none.shift": ([0.0, 14.0], [-0.1, 14.1]),
    "augmentation.none.rotation": ([0.0, 45.0], [-0.1, 45.1]),
    "augmentation.none.scale": ([0.0, 0.499], [-0.1, 0.5]),
    "augmentation.none.shear": ([0.0, 0.499], [-0.1, 0.5]),
    "augmentation.none.elastic": ([0.0, 3.0], [-0.1, 3.1]),
    "augmentation.none.horizontal_flip": ([0.0, 0.999], [-0.1, 1.0]),
    "augmentation.none.stroke_digits": ([0.0, 1.0], [-0.1, 1.1]),
    "augmentation.none.stroke_style": ([0.0, 1.0], [-0.1, 1.1]),
    "explore.samples_per_class": ([1, 30], [0, 31]),
    "explore.embedded_images": ([100, 10_000], [99, 10_001]),
    "canonicalizer.max_changed": ([0.0, 0.999], [-0.1, 1.0]),
    "canonicalizer.width": ([1], [0]),
    "canonicalizer.batch_size": ([10], [9]),
    "canonicalizer.lr": ([0.001], [0.0, inf]),
    "canonicalizer.weight_decay": ([0.0], [-0.1]),
    "ood.max_false_rejection_rate": ([0.001, 0.099], [0.0, 0.1]),
    "ood.outliers": ([200], [199]),
    "ood.detector.batch_size": ([10], [9]),
    "ood.detector.lr": ([0.001], [0.0]),
    "ood.detector.weight_decay": ([0.0], [-0.1]),
    "robustness.images": ([10, 10_000], [9, 10_001]),
    "evaluate.top_k": ([10, 200], [9, 201]),
    "cross_validation.images": ([[100]], [[], [99]]),
    "cross_validation.folds": ([2, 20], [1, 21]),
    "cross_validation.seeds": ([2, 100], [1, 101]),
    "label_errors.folds": ([2, 20], [1, 21]),
    "label_errors.top_k": ([10, 200], [9, 201]),
    "runtime.threads": ([1, 256], [0, 257]),
    "tuning.images": ([100], [99]),
    "models": ([{"svm": {}}], [{}]),
}


def with_value(key: str, value: object) -> dict[str, Any]:
    """Return the committed parameters with another `value` at `key`, which has dots."""
    tree = yaml.safe_load(GOOD)
    *sections, last = key.split(".")
    place = tree
    for section in sections:
        place = place[section]
    place[last] = value
    return tree


@pytest.mark.parametrize("key", RANGES)
def test_values_are_allowed_up_to_the_ends_of_their_range(key: str) -> None:
    allowed, refused = RANGES[key]
    for value in allowed:
        params.check(Params, with_value(key, value), "params.yaml")
    for value in refused:
        with pytest.raises(InputError) as caught:
            params.check(Params, with_value(key, value), "params.yaml")
        assert str(caught.value).startswith(f"params.yaml: {key}")


@pytest.mark.parametrize(
    ("low", "high", "log", "fits"),
    [
        (-2, -1, False, True),
        (0, 1, False, True),
        (1, 1, False, False),
        (2, 1, False, False),
        (0.001, 0.5, True, True),
        (0, 1, True, False),
        (-0.5, 1, True, False),
        (0.5, 0.5, True, False),
    ],
)
def test_ranges_ascend_and_those_on_a_logarithmic_scale_are_positive(
    low: float, high: float, log: bool, fits: bool
) -> None:
    values = {"low": low, "high": high, "log": log}
    if fits:
        assert params.check(params.Range, values, "here").model_dump() == values
    else:
        above = ", both above 0" if log else ""
        with pytest.raises(InputError, match=rf"Value error, Expected low < high{above}\.$"):
            params.check(params.Range, values, "here")


def test_fractions_are_below_1() -> None:
    class Layer(params.Schema):
        dropout: params.Fraction

    for value in (0.0, 0.999):
        assert Layer(dropout=value).dropout == value
    for value in (-0.1, 1.0):
        with pytest.raises(ValidationError):
            Layer(dropout=value)


def test_parameters_cannot_be_changed(settings: Params) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 1


@pytest.mark.parametrize(
    ("about", "changed"),
    [
        (
            {"digits": True, "warp": 1, "horizontal_flip": False},
            {"horizontal_flip": 0},
        ),
        (
            {"digits": False, "warp": 1, "horizontal_flip": False},
            {"horizontal_flip": 0, "stroke_digits": 0, "stroke_style": 0},
        ),
        (
            {"digits": False, "warp": 0.5, "horizontal_flip": True},
            {
                "stroke_digits": 0,
                "stroke_style": 0,
                "shift": 1,
                "rotation": 6,
                "scale": 0.075,
                "shear": 0.1,
                "elastic": 0.2,
            },
        ),
    ],
)
def test_of_a_policy_a_dataset_takes_what_applies_to_it(
    settings: Params, about: dict[str, bool], changed: dict[str, float]
) -> None:
    policy = settings.augmentation["standard"].model_copy(update={"elastic": 0.4, "horizontal_flip": 0.3})
    assert policy.for_dataset(about).model_dump() == policy.model_dump() | changed


def test_a_policy_of_zeros_changes_nothing(settings: Params) -> None:
    none = settings.augmentation["none"]
    assert none.changes_nothing
    assert not none.model_copy(update={"horizontal_flip": 0.5}).changes_nothing


def test_missing_and_empty_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not found\. Run this from the repository"):
        params.load(tmp_path / "params.yaml")
    with pytest.raises(InputError, match="expected sections"):
        load(tmp_path, "")
    with pytest.raises(InputError, match="expected a file, found a directory"):
        params.load(tmp_path)


def test_a_policy_is_found_by_name(settings: Params) -> None:
    assert settings.policy("ood", "ood.detector.augmentation") is settings.augmentation["ood"]
    with pytest.raises(InputError, match=r"^params\.yaml: here: found 'strong'\. Allowed: none, standard, ood\.$"):
        settings.policy("strong", "here")


def test_a_model_with_other_values_is_a_copy(settings: Params) -> None:
    changed = settings.with_model("svm", {"C": 1.0})
    assert changed.models["svm"] == settings.models["svm"] | {"C": 1.0}
    assert settings.models["svm"]["C"] != 1.0
    assert changed.models.keys() == settings.models.keys()
    assert changed.models["cnn"] == settings.models["cnn"]
    assert changed.model_copy(update={"models": settings.models}) == settings


HOSTILE = [
    "a; touch x",
    "a' b",
    "$(touch x)",
    "`touch x`",
    'a"; touch x; "',
    "a\\",
    "a & touch x",
    "a\ntouch x",
    "*",
    "a\n",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_a_shell_would_interpret_is_an_error(tmp_path: Path, name: str) -> None:
    tree = yaml.safe_load(GOOD)
    tree["models"][name] = tree["models"]["logreg"]
    with pytest.raises(InputError, match="String should match pattern"):
        load(tmp_path, yaml.safe_dump(tree))


def test_the_names_of_the_pipelines_own_files_are_not_allowed() -> None:
    """Those at the first level of each folder that has files or folders of models below it."""
    found = set()
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        stage = stage.get("do", stage)
        for out in (out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])):
            folder, name = Path(out if isinstance(out, str) else next(iter(out))).parts[:2]
            if folder in ("models", "metrics", "plots", "reports", "results") and "${key}" not in name:
                found.add(Path(name).stem)
    assert found == params.OWN_NAMES


@pytest.mark.parametrize("name", [name for name in HOSTILE if "'" not in name])
def test_dvc_yaml_quotes_the_name_of_a_model(tmp_path: Path, name: str) -> None:
    """DVC fills in a name as it is and gives the command to a shell. A name with a single quote is not covered."""
    (tmp_path / "python").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')  # prints its arguments
    (tmp_path / "python").chmod(0o755)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    commands = {stage: content["do"]["cmd"] for stage, content in stages.items() if "foreach" in content}
    assert len(commands) == 4
    for stage, command in commands.items():
        done = subprocess.run(
            command.replace("${key}", name),
            shell=True,
            cwd=tmp_path,
            env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert done.stdout == f"-m|pipeline.{stage}|{name}|"
    assert not (tmp_path / "x").exists()


def test_the_command_checks_params_yaml(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(GOOD.replace("  logreg:\n    kind", "  a; b:\n    kind"))
    command = [sys.executable, "-m", "pipeline.params"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml: models.a; b: found")
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    importing = [sys.executable, "-c", "import pipeline.params"]  # reads no file
    assert subprocess.run(importing, cwd=tmp_path, env=environment, check=False).returncode == 0
