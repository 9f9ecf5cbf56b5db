"""Duration and memory of each stage in a fresh clone of the last commit, and the duration of a `dvc repro` that has
nothing to do: `python -m benchmarks.stages`.

Memory is the peak resident size of the stage's process. Private memory is without pages of mapped files, which the
system drops when others need them, and seen every INTERVAL seconds. Durations are without DVC's work around a stage.
"""

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

import benchmarks
from pipeline.commands.verify import rebuild

DVC = str(Path(sys.executable).with_name("dvc"))
INTERVAL = 0.05  # seconds between two looks at the processes
REPEATS = 5  # of the run that has nothing to do

Stages = dict[str, dict[str, float]]  # by name, as in dvc.yaml: seconds, peak_mb, private_mb
FIELDS = {"peak_mb": "VmHWM", "private_mb": "RssAnon"}  # of /proc/PID/status, in KiB


def stage_of(command: list[str]) -> str | None:
    """Return the name of the stage that a process with this command line runs, None if it runs none."""
    if "-m" not in command[:-1]:
        return None
    module, *arguments = command[command.index("-m") + 1 :]
    package, _, stage = module.partition(".")
    return "@".join([stage, *arguments]) if package == "pipeline" else None


def watch(stages: Stages, done: threading.Event) -> None:
    """Record in `stages` duration and peak memory of the stages that this process starts, until `done`."""
    parent = psutil.Process()
    while not done.wait(INTERVAL):
        for process in parent.children(recursive=True):
            try:
                name, status = stage_of(process.cmdline()), Path(f"/proc/{process.pid}/status").read_text()
                seconds = time.time() - process.create_time()
            except (psutil.Error, OSError):  # it has ended
                continue
            kib = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.endswith(" kB")}
            if name and kib:
                before = stages.get(name, {"seconds": 0.0} | dict.fromkeys(FIELDS, 0.0))
                new = {"seconds": round(seconds, 1)}
                new |= {key: round(kib[field] * 1024 / 1e6) for key, field in FIELDS.items()}
                stages[name] = {key: max(before[key], new[key]) for key in new}


def main() -> None:
    """Run the pipeline, print and write the results.

    Raises:
        InputError: a stage failed.
    """
    stages: Stages = {}
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(stages, done), daemon=True)
    with tempfile.TemporaryDirectory(prefix="stages-") as folder:
        subprocess.run(["git", "clone", "--quiet", ".", folder], check=True)
        watcher.start()
        start = time.perf_counter()
        rebuild(Path(folder))
        total = time.perf_counter() - start
        done.set()
        watcher.join()
        nothing_to_do = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            subprocess.run([DVC, "repro", "--quiet"], cwd=folder, check=True)
            nothing_to_do.append(time.perf_counter() - start)
    results: dict[str, Any] = {
        "whole_seconds": round(total, 1),
        "nothing_to_do_seconds": round(statistics.median(nothing_to_do), 2),
        "stages": stages,
    }
    print(f"all stages: {total:.0f} s; nothing to do: {results['nothing_to_do_seconds']} s")
    benchmarks.write("stages", results)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.stages")
