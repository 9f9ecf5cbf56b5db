"""Duration of all stages, one after the other and several at once, on one machine and on a Ray cluster of its cores, in
fresh clones of the last commit: `python -m benchmarks.scaling`. With `--kills 10`, a worker of the cluster is killed at
a random moment of each of ten runs, which must leave the same dvc.lock.

The cluster is compared with stages of one thread, since it has a worker per core. `--size small` takes the digits and
models of the quickstart, `--size few` two of these models, `--size many` MNIST with 1.1 million stored images and short
trainings. `benchmarks.cost` fits a model to the sizes `small` and `mnist` and checks it on `many`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml
from dvc.utils.hydra import apply_overrides

import benchmarks
from digits import checksums
from digits.errors import InputError
from pipeline import json_file
from pipeline.commands import quickstart, repro

PROGRAMS = str(Path(sys.executable).parent)
AUTHOR = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
ONE_THREAD = "runtime.threads=1"
# By name: what is changed in params.yaml, and the command.
RUNS = {
    "serial": ([], ["repro"]),
    "jobs": ([], ["pipeline.commands.repro", "--jobs", "2"]),
    "serial, 1 thread": ([ONE_THREAD], ["repro"]),
    "jobs, 1 thread": ([ONE_THREAD], ["pipeline.commands.repro", "--jobs", "2"]),
    "cluster": ([ONE_THREAD], ["pipeline.commands.cluster", "repro", "--workers", "2"]),
}
SHORT = tuple(change for change in quickstart.PARAMS if change.startswith(("canonicalizer", "ood", "cross_validation")))
EPOCHS = tuple(f"models.{name}.epochs=1" for name in (*quickstart.NETWORKS, "lenet", "mlp"))
FEW = tuple(f"~models.{name}" for name in ("svm", "random_forest", "cnn"))
SIZES = {
    "mnist": (),
    "small": quickstart.PARAMS,
    "few": (*quickstart.PARAMS, *FEW),
    "many": ("augment.copies=19", *SHORT, *EPOCHS),
}
WORKER = "ray::Worker"  # the name of a worker's process


def clone(folder: Path, changes: list[str]) -> None:
    """Clone the last commit without its results, change params.yaml, and commit that."""
    subprocess.run(["git", "clone", "--quiet", ".", str(folder)], check=True)
    apply_overrides(folder / "params.yaml", changes)
    (folder / "dvc.lock").unlink()
    remote = str(folder.with_name(f"{folder.name}-remote"))
    subprocess.run(["dvc", "remote", "add", "--quiet", "--default", "here", remote], cwd=folder, check=True, env=_env())
    subprocess.run(["git", *AUTHOR, "commit", "--quiet", "--all", "--message", "changed"], cwd=folder, check=True)


def run(folder: Path, command: list[str]) -> dict[str, Any]:
    """Run `dvc repro` or a module in a clone.

    Returns:
        seconds: of everything. stages: by name, `pipeline.commands.repro.Job.to_dict`, where the command is ours.
        exchanged: by name, (files, bytes) of the outputs of a stage and of those that it reads.
        dvc_lock: SHA-256 of that file.

    Raises:
        InputError: the command failed.
    """
    start = time.perf_counter()
    words = ["dvc", *command] if command == ["repro"] else [sys.executable, "-m", *command]
    code = subprocess.run(words, cwd=folder, check=False, env=_env()).returncode
    seconds = time.perf_counter() - start
    if code:
        raise InputError(f"{' '.join(command)} failed with exit code {code}.")
    history = folder / repro.HISTORY
    stages = json_file.read(history) if history.exists() else {}
    lock = folder / "dvc.lock"
    return {
        "seconds": round(seconds, 1),
        "stages": stages,
        "exchanged": exchanged(lock),
        "dvc_lock": checksums.sha256(lock),
    }


def exchanged(lock: Path) -> dict[str, tuple[int, int]]:
    """Return the number of files and bytes of the outputs of each stage in `lock` and of the outputs that it reads."""
    stages = yaml.safe_load(lock.read_text())["stages"]
    made = [Path(out["path"]) for stage in stages.values() for out in stage["outs"]]

    def is_made(path: Path) -> bool:
        return any(path == out or path in out.parents or out in path.parents for out in made)

    found = {}
    for name, stage in stages.items():
        moved = [*stage["outs"], *(dep for dep in stage["deps"] if is_made(Path(dep["path"])))]
        found[name] = sum(file.get("nfiles", 1) for file in moved), sum(file["size"] for file in moved)
    return found


def _env() -> dict[str, str]:
    return os.environ | {"PATH": os.pathsep.join([PROGRAMS, os.environ["PATH"]])}


def kill_a_worker(after: float, done: threading.Event, killed: list[float]) -> None:
    """Kill a worker that this process started, or one of its children did, `after` that many seconds.

    Args:
        after: seconds.
        done: ends the waiting.
        killed: gets `after` if a worker was killed.
    """
    if done.wait(after):
        return
    workers = [child for child in psutil.Process().children(recursive=True) if child.name().startswith(WORKER[:15])]
    if workers:
        workers[np.random.default_rng().integers(len(workers))].kill()
        killed.append(after)


def survive(folder: Path, changes: list[str], expected: bytes, seconds: float) -> dict[str, Any]:
    """Run all stages on a cluster, of which a worker is killed, and compare dvc.lock with the expected one.

    Raises:
        InputError: it differs.
    """
    clone(folder, changes)
    done, killed = threading.Event(), list[float]()
    after = np.random.default_rng().uniform(0.1, 0.9) * seconds
    killer = threading.Thread(target=kill_a_worker, args=(after, done, killed), daemon=True)
    killer.start()
    try:
        found = run(folder, RUNS["cluster"][1])["seconds"]
    finally:
        done.set()
    if (folder / "dvc.lock").read_bytes() != expected:
        raise InputError(f"a run with a worker killed after {after:.0f} s left another dvc.lock.")
    return {"killed_after_seconds": [round(value, 1) for value in killed], "seconds": found}


def main(*arguments: str) -> None:
    """Run the stages in each way, print and write the results.

    Raises:
        InputError: a stage failed, or a dvc.lock differs from that of the serial run.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS), help="by default all")
    parser.add_argument("--kills", type=int, default=0, help="further runs, each with a killed worker")
    parser.add_argument("--size", choices=SIZES, default="mnist")
    how = parser.parse_args(arguments)
    size, name = list(SIZES[how.size]), f"scaling_{how.size}"
    results, locks = benchmarks.read(name), dict[str, bytes]()
    with tempfile.TemporaryDirectory(prefix="scaling-") as top:
        for label in how.runs:
            changes, command = RUNS[label]
            folder = Path(top) / label.replace(" ", "-").replace(",", "")
            clone(folder, size + changes)
            results[label] = run(folder, command)
            print(f"{label:<20}{results[label]['seconds']:8.0f} s", flush=True)
            lock = (folder / "dvc.lock").read_bytes()
            if locks.setdefault(" ".join(changes), lock) != lock:
                raise InputError(f"{label}: dvc.lock differs from that of the serial run.")
            benchmarks.write(name, results)
        for number in range(how.kills):
            expected, seconds = locks[ONE_THREAD], results["cluster"]["seconds"]
            survived = survive(Path(top) / f"kill-{number}", [*size, ONE_THREAD], expected, seconds)
            results.setdefault("kills", []).append(survived)
            print(f"killed after {survived['killed_after_seconds']} s: the same dvc.lock", flush=True)
            benchmarks.write(name, results)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.scaling")
