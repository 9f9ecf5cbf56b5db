import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from benchmarks import scaling
from digits.errors import InputError
from pipeline import params
from tests.conftest import ROOT, call


def test_a_clone_has_the_changes_committed_and_no_results(tmp_path: Path) -> None:
    folder = tmp_path / "serial"
    scaling.clone(folder, [scaling.ONE_THREAD])
    assert yaml.safe_load((folder / "params.yaml").read_text())["runtime"]["threads"] == 1
    assert not (folder / "dvc.lock").exists()
    assert not call(folder, "git", "status", "--porcelain")
    assert "serial-remote" in (folder / ".dvc/config").read_text()


@pytest.mark.parametrize("size", scaling.SIZES)
def test_every_size_is_a_valid_change_of_params(tmp_path: Path, size: str) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    apply_overrides(tmp_path / "params.yaml", [*scaling.SIZES[size], scaling.ONE_THREAD])
    settings = params.load(tmp_path / "params.yaml")
    assert settings.runtime.threads == 1
    assert settings.label_errors.model in settings.models


def test_a_run_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pipeline\.commands\.none failed with exit code 1"):
        scaling.run(tmp_path, ["pipeline.commands.none"])


def test_a_worker_is_killed_and_no_other_child(tmp_path: Path) -> None:
    sleep, worker = shutil.which("sleep"), tmp_path / scaling.WORKER
    assert sleep
    worker.symlink_to(sleep)  # a process has the name of its file
    killed: list[float] = []
    with subprocess.Popen([sleep, "99"]) as other:
        scaling.kill_a_worker(0.0, threading.Event(), killed)
        assert killed == []  # there is no worker
        with subprocess.Popen([worker, "99"]) as process:
            scaling.kill_a_worker(0.0, threading.Event(), killed)
            assert process.wait(9) != 0
        assert killed == [0.0]
        assert other.poll() is None
        other.kill()


def test_what_stages_exchange_counts_no_code(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    made = {"path": "data/raw", "size": 100, "nfiles": 3}
    code = {"path": "pipeline/preprocess.py", "size": 7}
    prepared = {"path": "data/prepared/train", "size": 10, "nfiles": 2}
    stages = {"download": {"outs": [made], "deps": [code]}, "preprocess": {"outs": [prepared], "deps": [made, code]}}
    stages["train"] = {"outs": [{"path": "models/x.onnx", "size": 1}], "deps": [{**prepared, "path": "data/prepared"}]}
    lock.write_text(yaml.safe_dump({"stages": stages}))
    assert scaling.exchanged(lock) == {"download": (3, 100), "preprocess": (5, 110), "train": (3, 11)}
