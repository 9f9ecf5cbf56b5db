"""The cost of reproducible bytes, and the best use of two cores: `python -m benchmarks.pins`.

Two epochs of our `cnn` in a bare loop: with the restrictions of pipeline/runtime.py, without them, and with one thread,
two such trainings at a time. Medians of several rounds in which the three take turns, kept for each kind of processor.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from dvc.utils.hydra import apply_overrides

import benchmarks

ROUNDS, EPOCHS = 5, "models.cnn.epochs=2"
FREE = "runtime.reproducible=false"
VARIANTS = {  # changes of params.yaml
    "pinned": [EPOCHS],
    "free": [EPOCHS, FREE],
    "two_at_once_one_thread_each": [EPOCHS, "runtime.threads=1"],
}
LINKED = ("digits", "pipeline", "benchmarks", "data", "requirements.lock")


def make_workspace(folder: Path, changes: list[str]) -> None:
    """Make `folder` a workspace like this one, with `changes` of params.yaml such as "seed=1"."""
    folder.mkdir()
    for name in LINKED:
        (folder / name).symlink_to(Path(name).resolve())
    shutil.copy("params.yaml", folder)
    apply_overrides(folder / "params.yaml", changes)


def train(workspace: Path, at_once: int) -> float:
    """Return the seconds per training of `at_once` concurrent trainings in `workspace`."""
    command = [sys.executable, "-m", "benchmarks.training", "bare_cnn", "--once", "1"]
    running = [subprocess.Popen(command, cwd=workspace, stdout=subprocess.PIPE, text=True) for _ in range(at_once)]
    last_epochs = [json.loads(process.communicate()[0].splitlines()[-1])[-1] for process in running]
    return round(max(seconds for seconds, _ in last_epochs) / at_once, 2)


def main() -> None:
    """Measure all variants, print and write the results."""
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory(prefix="pins-") as folder:
        for name, changes in VARIANTS.items():
            make_workspace(Path(folder) / name, changes)
        for _ in range(ROUNDS):
            for name, measured in seconds.items():
                measured.append(train(Path(folder) / name, at_once=2 if name.startswith("two") else 1))
                print(f"{name}: {measured[-1]} s per training", flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    found = benchmarks.read("pins") | {benchmarks.processor(): {"seconds_a_training": medians, "rounds": seconds}}
    benchmarks.write("pins", found)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.pins")
