import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from hashlib import md5
from pathlib import Path

import pytest
import yaml

from digits.errors import InputError
from pipeline.commands import doctor
from pipeline.fingerprints import records
from tests.conftest import ROOT
from tests.pipeline.fingerprints.test_records import record


def test_the_committed_params_yaml_has_no_errors() -> None:
    assert doctor.wrong_params(ROOT / "params.yaml") == []


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            lambda tree: tree.update(dataset="minst"),
            ["params.yaml: dataset: found 'minst'. Did you mean 'mnist'?"],
        ),
        (
            lambda tree: tree["models"]["svm"].update(C=0.0),
            ["params.yaml: models.svm: C: found 0.0 (float). Input should be greater than 0."],
        ),
        (lambda tree: tree["presets"]["cnn_best"].pop("lr"), ["params.yaml: presets.cnn_best: lr: missing."]),
        (
            lambda tree: tree["presets"]["ensemble"].update(augmentation="strong"),
            ["params.yaml: presets.ensemble.augmentation: found 'strong'. Allowed: none, standard, ood."],
        ),
        (
            lambda tree: tree["ood"]["detector"].update(augmentation="strong"),
            ["params.yaml: ood.detector.augmentation: found 'strong'. Allowed: none, standard, ood."],
        ),
        (
            lambda tree: tree["label_errors"].update(model="vgg"),
            ["params.yaml: models.vgg: no such model. Allowed: logreg, logreg_hog, svm,"],
        ),
        (
            lambda tree: (tree["models"]["svm"].update(C=0.0), tree["models"]["mlp"].update(kind="cmm")),
            ["params.yaml: models.svm: C: found 0.0", "params.yaml: models.mlp.kind: found 'cmm'. Allowed: cnn,"],
        ),
    ],
)
def test_every_error_in_params_yaml_is_listed(
    tmp_path: Path, change: Callable[[dict], object], messages: list[str]
) -> None:
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    change(tree)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    found = doctor.wrong_params(tmp_path / "params.yaml")
    assert len(found) == len(messages)
    assert all(line.startswith(message) for line, message in zip(found, messages, strict=True))


def test_a_missing_stored_policy_is_listed_once_for_each_use(tmp_path: Path) -> None:
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    del tree["augmentation"]["standard"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    found = doctor.wrong_params(tmp_path / "params.yaml")
    assert found[0] == "params.yaml: augmentation: found 'standard'. Allowed: none, ood."
    assert "params.yaml: models.cnn.augmentation: found 'standard'. Allowed: none, ood." in found
    assert len(found) == len(set(found))


def store(cache: Path, content: bytes, suffix: str = "") -> str:
    """Write `content` into a cache as DVC does and return its name."""
    name = md5(content).hexdigest() + suffix
    (cache / name[:2]).mkdir(parents=True, exist_ok=True)
    (cache / name[:2] / name[2:]).write_bytes(content)
    return name


def test_damaged_files_in_the_cache_are_listed_with_their_output(tmp_path: Path) -> None:
    cache, lock = tmp_path / "cache", tmp_path / "dvc.lock"
    image, old = store(cache, b"image"), store(cache, b"old")
    listing = store(cache, json.dumps([{"md5": image, "relpath": "1.png"}]).encode(), ".dir")
    lock.write_text(yaml.safe_dump({"stages": {"a": {"outs": [{"path": "plots", "md5": listing}]}}}))
    assert doctor.wrong_objects(cache, lock) == []
    for name in (image, old):
        (cache / name[:2] / name[2:]).write_bytes(b"damaged")
    found = sorted(doctor.wrong_objects(cache, lock))
    assert len(found) == 2
    assert any(f"which is plots/1.png: expected MD5 {image}, found " in line for line in found)
    assert any("which is an earlier version of some output: expected MD5" in line for line in found)
    (cache / listing[:2] / listing[2:]).write_bytes(b"\xffdamaged")
    assert any("which is plots: expected MD5" in line for line in doctor.wrong_objects(cache, lock))
    lock.unlink()
    assert len(doctor.wrong_objects(cache, lock)) == 3


@pytest.mark.parametrize("content", ["", "stages: 3", "[", "stages: {a: {outs: [{path: x}]}}"])
def test_a_damaged_dvc_lock_is_an_input_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "dvc.lock").write_text(content)
    with pytest.raises(InputError, match=r"dvc\.lock: expected the stages and outputs that DVC writes"):
        doctor.wrong_objects(tmp_path, tmp_path / "dvc.lock")


def test_outside_a_dvc_repository_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="expected a DVC repository here"):
        doctor.main()


def test_different_kernels_are_listed_with_their_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        Path(command[-1]).write_text(json.dumps(asdict(record("0" * 16))))
        return subprocess.CompletedProcess(command, 1, "", "")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    assert doctor.different_kernels() == []
    records.save(record())
    (found,) = doctor.different_kernels()
    lock = tmp_path / "dvc.lock"
    assert doctor.concerned(found, lock).endswith("Their outputs: none yet; and what follows from them.")
    lock.write_text(yaml.safe_dump({"stages": {"train@cnn": {"outs": [{"path": "models/classifiers/cnn"}]}}}))
    assert doctor.concerned(found, lock) == (
        "sqrt differs from amd-epyc-family-26-model-2. Depending on it: train@cnn. "
        "Their outputs: models/classifiers/cnn; and what follows from them."
    )


def test_kernels_that_do_not_run_are_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "error: no torch")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(InputError, match="the numerical kernels do not run here: error: no torch"):
        doctor.different_kernels()
