"""Small data and a small project that many tests share. Nothing here needs a network."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from pipeline import params, runtime
from pipeline.datasets import records
from pipeline.datasets.arrays import LabelledImages
from pipeline.datasets.loading import like_mnist
from pipeline.training import TrainingContext
from tests import stage_server

ROOT = Path(__file__).parents[1]

# The default pipeline, made small: a network and a classical model.
REMOVED = ("logreg", "logreg_hog", "random_forest", "mlp", "lenet", "cnn_fast")
SMALL = {
    "dataset": "digits",
    "split.validation": "240",
    "explore.embedded_images": "200",
    "cross_validation.folds": "2",
    "cross_validation.images": "[300]",
    "label_errors.model": "svm",
    "label_errors.folds": "2",
    "label_errors.top_k": "10",
    "robustness.images": "30",
    "canonicalizer.steps": "30",
    "canonicalizer.width": "4",
    "canonicalizer.batch_size": "32",
    "ood.outliers": "280",
    "ood.detector.steps": "30",
    "ood.detector.width": "4",
    "runtime.threads": "1",
    "models.cnn.epochs": "3",
    "models.cnn.stem": "8",
    "models.cnn.stages": "[[16], [32]]",
    "models.cnn.batch_size": "64",
}

STAGES = (
    *("download", "preprocess", "augment", "corrupt", "explore", "generate_outliers"),
    *("train_canonicalizer", "train_ood"),
    *(f"{stage} {model}" for stage in ("train", "package", "evaluate", "cross_validate") for model in ("svm", "cnn")),
    *("label_errors", "report"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest tests come first, so that both of pytest's processes end together."""
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, item.path.name != "test_pipeline.py"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Print last, once per reason, how many tests were skipped; a reason says what the tests need."""
    yield
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} test{'s' * (count > 1)} skipped: {reason}", yellow=True)


@pytest.fixture(scope="session")
def settings() -> params.Params:
    """Return the committed params.yaml."""
    return params.load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def digits() -> LabelledImages:
    """Return scikit-learn's 1,437 digits for training, 28x28, as the pipeline prepares them."""
    found = records.get("digits").bundled()
    return LabelledImages(like_mnist(found["train_images"]), found["train_labels"])


@pytest.fixture
def context_of(digits: LabelledImages, tmp_path: Path) -> Callable[..., TrainingContext]:
    """Return a function that makes a TrainingContext on a few digits; its arguments replace parts of it."""

    def make(**changes: object) -> TrainingContext:
        parts = {
            "name": "model",
            "train": digits.first(1000),
            "validation": LabelledImages(digits.images[1000:1200], digits.labels[1000:1200]),
            "classes": 10,
            "mean": float(digits.images.mean() / 255),
            "std": float(digits.images.std() / 255),
            "augmentation": None,
            "seed": 42,
            "threads": 1,
            "curves": tmp_path / "curves",
            "checkpoints": tmp_path / "checkpoints",
        }
        return TrainingContext(**parts | changes)

    return make


def copy_project(folder: Path) -> Path:
    """Copy the files of this project that git tracks, or would, to `folder`, a git repository of its own."""
    listed = ""
    for options in (["--cached"], ["--others", "--exclude-standard", "--", ".", *(f":!{name}" for name in OUTPUTS)]):
        listed += subprocess.check_output(["git", "ls-files", "-z", *options], cwd=ROOT, text=True)
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for command in (["init", "-q"], ["add", "-A"], [*IDENTITY, "commit", "-qm", "copy"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


OUTPUTS = ("data", "models", "metrics", "plots", "reports", "results")
IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@localhost"]


SERVED: list[Path] = []  # what precedes all programs on the PATH


@pytest.fixture(scope="session")
def stages_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let stages that `call` starts, by DVC or else, begin with their libraries imported."""
    if not hasattr(os, "fork") or any(name.startswith("COVERAGE_PROCESS") for name in os.environ):
        yield
        return
    pinned = runtime.environment(params.Runtime(threads=1, reproducible=True))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(runtime.PREFIXES)}
    programs, server = stage_server.start(tmp_path_factory.mktemp("served"), clean | pinned)
    SERVED.append(programs)
    yield
    SERVED.clear()
    server.kill()
    server.wait()


def call(folder: Path, *command: str, fails: bool = False, **environment: str) -> str:
    """Run `command` in `folder` with this Python's folder first on the PATH; return what it printed.

    Its exit code must be 0, or, with `fails`, another.
    """
    programs = [str(folder) for folder in (*SERVED, Path(sys.executable).parent)]
    path = os.pathsep.join([*programs, os.environ["PATH"]])
    clean = {name: value for name, value in os.environ.items() if name not in ("DATASET_MIRROR", "MNIST_MIRROR")}
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean | {"PATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, f"{command} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


def ran(output: str) -> set[str]:
    """Return the stages that `dvc repro` ran, from what it printed."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def set_params(folder: Path, changes: dict[str, str | None]) -> None:
    """Change params.yaml in `folder`: keys with dots, values as YAML, None to take a key out."""
    from ruamel.yaml import YAML

    yaml = YAML()
    path = folder / "params.yaml"
    tree = yaml.load(path)
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            place = place[section]
        if value is None:
            del place[last]
        else:
            place[last] = yaml.load(value)
    yaml.dump(tree, path)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of this project in which all stages ran once, on the small settings, and were committed.

    Tests that change it work on a copy of their own: see `own_project`. pytest's processes share the one.
    """
    shared = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.mktemp("x")
    )
    folder = shared / "built/project"
    with FileLock(shared / "built.lock"):
        if not (shared / "built/done").exists():
            copy_project(folder)
            set_params(folder, SMALL | {f"models.{name}": None for name in REMOVED})
            (folder / "dvc.lock").unlink(missing_ok=True)  # DVC reads and writes it whole at every stage
            call(folder, "python", "-m", "tests.in_one_process", *STAGES)
            call(folder, "dvc", "commit", "--force", "--quiet")
            call(folder, "git", "add", "-A")
            call(folder, "git", *IDENTITY, "commit", "-qm", "built")
            (shared / "built/done").touch()
    return folder


@pytest.fixture
def own_project(project: Path, tmp_path: Path, stages_served: None) -> Path:
    """Return a copy of the built project, to be changed at will."""
    return Path(shutil.copytree(project, tmp_path / "project", symlinks=True))


@pytest.fixture
def random_images() -> np.ndarray:
    """Return 50 images of noise, (50, 1, 28, 28) float32 in [0, 1]."""
    return np.random.default_rng(0).random((50, 1, 28, 28), np.float32)
