"""Command: run the whole pipeline, offline, on scikit-learn's 1,797 small digits.

    python -m pipeline.commands.quickstart

It clones the last commit to .quickstart and runs `dvc exp run` there, with the parameters below. DVC's output goes to
.quickstart/quickstart.log.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from digits import errors
from digits.errors import InputError
from pipeline import params, runtime

FOLDER = Path(".quickstart")
LOG = "quickstart.log"
NETWORKS = ("cnn_fast", "cnn")
# 1,437 training images instead of 60,000: a smaller validation set, more epochs of smaller batches, three models less.
PARAMS = (
    "dataset=digits",
    "split.validation=240",
    "explore.embedded_images=500",
    "canonicalizer.steps=250",
    "ood.outliers=3000",
    "ood.detector.steps=250",
    "cross_validation.images=[600]",
    "cross_validation.folds=2",
    "~models.logreg_hog",
    "~models.mlp",
    "~models.lenet",
    *(f"models.{name}.{change}" for name in NETWORKS for change in ("epochs=20", "batch_size=32")),
)
STARTED = re.compile(r"Running stage '(.+)':$")
ENDED = re.compile(r"(Generating|Updating) lock file")
TAIL = 30  # lines of the log that are printed after a failure


def command() -> list[str]:
    """Return the command that runs the pipeline."""
    dvc = Path(sys.executable).parent / "dvc"
    return [str(dvc), "exp", "run", "--name", "quickstart", *(part for change in PARAMS for part in ("-S", change))]


def follow(lines: Iterator[str]) -> list[str]:
    """Print a line for each stage in `lines`, the output of `dvc exp run`, with its seconds.

    Returns:
        What the stage `report` printed.
    """
    name, start, printed = "", 0.0, list[str]()
    for line in lines:
        if found := STARTED.match(line):
            _finish(name, start)
            name, start = found[1], time.monotonic()
            print(f"{name:<30}", end="", flush=True)
        elif ENDED.match(line):
            _finish(name, start)
            name = ""
        elif name == "report" and not line.startswith("> "):
            printed.append(line.rstrip())
    _finish(name, start)
    return printed


def _finish(name: str, start: float) -> None:
    if name:
        print(f"{time.monotonic() - start:6.1f} s", flush=True)


def run(folder: Path) -> list[str]:
    """Run the pipeline in `folder`, a clone, and return what its last stage printed.

    Raises:
        InputError: params.yaml is not valid, or a stage failed.
    """
    params.load(folder / params.FILE)
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "80"}  # unbuffered: the log is in order
    with (
        (folder / LOG).open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command(), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        printed = follow(_copied(process.stdout or [], log))
    if process.returncode:
        print(*(folder / LOG).read_text(encoding="utf-8").splitlines()[-TAIL:], sep="\n", file=sys.stderr)
        raise InputError(f"`dvc exp run` exited with {process.returncode}. Its whole output is in {folder / LOG}.")
    return printed


def _copied(lines: Iterable[str], log: TextIO) -> Iterator[str]:
    for line in lines:
        log.write(line)
        log.flush()
        yield line


def main() -> None:
    """Clone, run, and print the leaderboard and the address of the report.

    Raises:
        InputError: this is not a git repository with a commit, or a stage failed.
    """
    start = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    if subprocess.run(["git", "clone", "--quiet", ".", str(FOLDER)], check=False).returncode:
        raise InputError("expected a git repository here, whose last commit can be cloned.")
    leaderboard = run(FOLDER)
    print("", *leaderboard, "", sep="\n")
    print(f"{time.monotonic() - start:.0f} s. Log: {FOLDER / LOG}")
    print(f"Report: {(FOLDER / 'reports/index.html').resolve().as_uri()}")


if __name__ == "__main__":
    errors.run(lambda: runtime.call(main, "pipeline.commands.quickstart"), runtime.ADVICE)
