"""Duration of all stages, one after the other and several at once, on one machine and on a Ray cluster of its cores, in
fresh clones of the last commit: `python -m benchmarks.scaling`. With `--kills 10`, a worker of the cluster is killed at
a random moment of each of ten runs, which must leave the same dvc.lock.

The cluster is compared with stages of one thread, since its workers have one core each.
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
from dvc.utils.hydra import apply_overrides

import benchmarks
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
    "cluster": ([ONE_THREAD], ["pipeline.commands.cluster", "repro", "--workers", "2"]),
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
        seconds: of everything. stages: by name, seconds of the command, total of its job, and bytes of memory, where
        the command is ours.

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
    return {"seconds": round(seconds, 1), "stages": json_file.read(history) if history.exists() else {}}


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


def main() -> None:
    """Run the stages in each way, print and write the results.

    Raises:
        InputError: a stage failed, or a dvc.lock differs from that of the serial run.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--kills", type=int, default=0, help="further runs, each with a killed worker")
    parser.add_argument("--small", action="store_true", help="the quickstart's small digits instead of MNIST")
    how = parser.parse_args()
    small = list(quickstart.PARAMS) if how.small else []
    name = "scaling_small" if how.small else "scaling"
    results, locks = benchmarks.read(name), dict[str, bytes]()
    with tempfile.TemporaryDirectory(prefix="scaling-") as top:
        for label in how.runs:
            changes, command = RUNS[label]
            folder = Path(top) / label.replace(" ", "-").replace(",", "")
            clone(folder, small + changes)
            results[label] = run(folder, command)
            print(f"{label:<20}{results[label]['seconds']:8.0f} s", flush=True)
            lock = (folder / "dvc.lock").read_bytes()
            if locks.setdefault(" ".join(changes), lock) != lock:
                raise InputError(f"{label}: dvc.lock differs from that of the serial run.")
            benchmarks.write(name, results)
        for number in range(how.kills):
            expected, seconds = locks[ONE_THREAD], results["cluster"]["seconds"]
            survived = survive(Path(top) / f"kill-{number}", [*small, ONE_THREAD], expected, seconds)
            results.setdefault("kills", []).append(survived)
            print(f"killed after {survived['killed_after_seconds']} s: the same dvc.lock", flush=True)
            benchmarks.write(name, results)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.scaling")
