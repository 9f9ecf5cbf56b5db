"""Faults while stages run: killed processes, damaged files, full disks. `make faults` kills stages more often."""

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from digits.errors import InputError
from pipeline.commands import doctor
from tests.conftest import call, set_params

KILLS = int(os.environ.get("KILLS", "1"))
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs signals and mounts of Linux")]


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    """Start `command` in `folder`, a process group of its own; what it prints goes to a file beside `folder`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder.parent / "log").open("w") as log:
        return subprocess.Popen(
            command, cwd=folder, env=os.environ | {"PATH": path}, stdout=log, stderr=log, start_new_session=True
        )


def stages_of(folder: Path) -> list[psutil.Process]:
    """Return the running stages whose working directory is `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder and any("pipeline." in word for word in process.cmdline()[:3]):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_for_stage(folder: Path, seconds: float = 60) -> psutil.Process:
    """Return the first stage that runs in `folder`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if running := stages_of(folder):
            return running[0]
        time.sleep(0.05)
    raise AssertionError((folder.parent / "log").read_text())


def lose(folder: Path, out: str) -> None:
    """Remove the output `out` in `folder`, and what DVC could restore it from."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"].values()
    (md5,) = [known["md5"] for stage in stages for known in stage["outs"] if known["path"] == out]
    for path in (folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:], folder / out):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def test_stages_killed_at_random_end_with_the_same_bytes(own_project: Path) -> None:
    """The next plain `dvc repro` rebuilds every output that a killed stage left incomplete."""
    before = (own_project / "dvc.lock").read_text()
    rng, killed = random.Random(time.time_ns()), 0
    while killed < KILLS:
        stage, out, seconds = rng.choice(
            [
                ("preprocess", "data/prepared/test", 3),
                ("augment", "data/augmented/train", 4),
                ("train@svm", "models/classifiers/svm", 10),
                ("train@cnn", "models/classifiers/cnn", 14),
                ("evaluate@cnn", "results/evaluation/cnn.json", 6),
            ]
        )
        lose(own_project, out)
        repro = start(own_project, "dvc", "repro", "--no-run-cache", stage)
        running = wait_for_stage(own_project)
        time.sleep(rng.uniform(0, seconds))
        with contextlib.suppress(psutil.NoSuchProcess):
            running.kill()
        killed += repro.wait(120) != 0  # it may have been done before
    call(own_project, "dvc", "repro", "--no-run-cache")
    assert (own_project / "dvc.lock").read_text() == before
    assert not call(own_project, "git", "status", "--porcelain")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_stage_ends_with_the_dvc_that_started_it(own_project: Path, name: str) -> None:
    repro = start(own_project, "dvc", "repro", "--force", "--single-item", "--no-run-cache", "augment")
    stage = wait_for_stage(own_project)
    repro.send_signal(signal.Signals[name])
    repro.wait(10)
    psutil.wait_procs([stage], timeout=10)
    assert not stage.is_running(), "the stage goes on without DVC"
    assert "augment" in call(own_project, "dvc", "status", "augment")
    call(own_project, "dvc", "repro")
    assert not call(own_project, "git", "status", "--porcelain")


def test_a_second_repro_is_refused_and_names_the_first(own_project: Path) -> None:
    first = start(own_project, "dvc", "repro", "--force", "--single-item", "--no-run-cache", "augment")
    wait_for_stage(own_project)
    refused = call(own_project, "dvc", "repro", "--force", "--single-item", "augment", fails=True)
    assert "busy" in refused or "Unable to acquire lock" in refused
    assert f"(PID {first.pid})" in refused
    assert first.wait(60) == 0
    assert not call(own_project, "git", "status", "--porcelain")


def flip(path: Path) -> None:
    """Change one byte in the middle of `path`, whatever its permissions."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_doctor_names_wrong_parameters_and_damaged_files(own_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.wrong_objects(own_project / ".dvc/cache/files/md5", own_project / "dvc.lock") == []
    lock = (own_project / "dvc.lock").read_text()
    for damaged in ("", "<<<<<<< HEAD\n" + lock, "schema: '2.0'\n"):
        (own_project / "dvc.lock").write_text(damaged)
        with (
            monkeypatch.context() as patch,
            pytest.raises(InputError, match=r"dvc.lock: expected the stages and outputs"),
        ):
            patch.chdir(own_project)
            doctor.main()
    (own_project / "dvc.lock").write_text(lock)
    digest = hashlib.md5((own_project / "results/evaluation/cnn.json").read_bytes()).hexdigest()
    flip(own_project / ".dvc/cache/files/md5" / digest[:2] / digest[2:])
    member = hashlib.md5((own_project / "models/ood_detector/detector.onnx").read_bytes()).hexdigest()
    flip(own_project / ".dvc/cache/files/md5" / member[:2] / member[2:])
    set_params(own_project, {"models.svm.C": "-1", "models.cnn.kind": "cmm"})
    output = call(own_project, "python", "-m", "pipeline.commands.doctor", fails=True)
    assert f"{digest[2:]}, which is results/evaluation/cnn.json: expected MD5 {digest}, found" in output
    assert f"{member[2:]}, which is models/ood_detector/detector.onnx: expected MD5 {member}, found" in output
    assert output.count("expected MD5") == 2
    assert "models.svm: C: found -1" in output
    assert "models.cnn.kind: found 'cmm'" in output
    assert "installed packages: ok" in output


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("data/raw/train-images-idx3-ubyte", "preprocess"),
        ("data/augmented/train/images.npy", "train svm"),
        ("data/prepared/test/images.npy", "evaluate svm"),
        ("models/ood_detector/detector.onnx", "package svm"),
        ("models/canonicalizer/canonicalizer.onnx", "package svm"),
        ("models/classifiers/svm/classifier.onnx", "package svm"),
        ("models/svm/model.onnx", "evaluate svm"),
    ],
)
def test_a_stage_refuses_a_damaged_input(own_project: Path, file: str, stage: str) -> None:
    flip(own_project / file)
    output = call(own_project, "python", "-m", *f"pipeline.{stage}".split(), fails=True)
    assert f"{Path(file).name}: expected SHA-256" in output
    assert "Traceback" not in output


@pytest.fixture
def small_disk(tmp_path: Path):
    """Return a folder on a disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a disk: run as root, in a privileged container")
    yield folder
    subprocess.run(["umount", folder], check=True)


def beside(project: Path, folder: Path, *outputs: str) -> None:
    """Make `folder` a workspace that shares code and data with `project`, but for `outputs`."""
    for name in ("digits", "pipeline", "params.yaml", ".git", "dvc.yaml", "requirements.lock"):
        (folder / name).symlink_to(project / name)
    for path in outputs:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(project / path)


@pytest.mark.parametrize(
    ("stage", "inputs", "output"),
    [
        ("augment", ["data/prepared"], "data/augmented/train"),
        ("evaluate svm", ["data/prepared", "data/corrupted", "models/svm"], "results/evaluation/svm.json"),
    ],
)
def test_a_full_disk_ends_with_a_message(
    project: Path, small_disk: Path, stage: str, inputs: list[str], output: str
) -> None:
    beside(project, small_disk, *inputs)
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - 100_000))
    command = ("python", "-m", *f"pipeline.{stage}".split())
    text = call(small_disk, *command, fails=True)
    assert "the disk is full" in text or "of free disk space, with the copy in DVC's cache" in text
    assert "Traceback" not in text
    filler.unlink()
    if stage == "evaluate svm":
        call(small_disk, *command)
        assert (small_disk / output).read_bytes() == (project / output).read_bytes()


def test_a_full_cache_is_reported_and_the_stage_runs_again(own_project: Path, small_disk: Path) -> None:
    """DVC reports it and runs the stage again when there is room; its exit code is 0 nevertheless."""
    shutil.rmtree(own_project / ".dvc/cache")
    call(own_project, "dvc", "config", "--local", "cache.dir", str(small_disk))
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * (shutil.disk_usage(small_disk).free - 100_000))
    repro = ("dvc", "repro", "--single-item", "--no-run-cache", "augment")
    assert "No space left on device" in call(own_project, *repro, "--force")
    assert "not in cache" in call(own_project, "dvc", "status", "augment")
    filler.unlink()
    assert "Running stage 'augment'" in call(own_project, *repro)
    assert "up to date" in call(own_project, "dvc", "status", "augment")
    assert not call(own_project, "git", "status", "--porcelain")


def test_a_read_only_workspace_is_refused_before_any_work(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "read only"
    folder.mkdir()
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", project, folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a disk: run as root, in a privileged container")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        began = time.monotonic()
        output = call(folder, "python", "-m", "pipeline.train", "svm", fails=True)
        assert "expected a writable folder, found a read-only one" in output
        assert "Traceback" not in output
        assert "Read-only file system" in call(folder, "dvc", "repro", "--force", fails=True)
        assert time.monotonic() - began < 60
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_package_of_another_version_is_named(own_project: Path) -> None:
    lock = own_project / "requirements.lock"
    lock.write_text(re.sub(r"^scipy==\S+", "scipy==1.0.0", lock.read_text(), flags=re.MULTILINE))
    output = call(own_project, "python", "-m", "pipeline.train", "svm")
    assert re.search(r"warning: scipy \S+, locked 1\.0\.0", output)
    metadata = json.loads((own_project / "models/classifiers/svm/classifier.json").read_text())
    assert list(metadata["unlocked_versions"]) == ["scipy"]
