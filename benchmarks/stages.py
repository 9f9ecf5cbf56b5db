"""Seconds and memory of each stage, in a fresh clone of the last commit: `python -m benchmarks.stages`.

Then the seconds of a `dvc repro` that has nothing to do. Memory is the greatest resident size of the stage's process.
"""

import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

import benchmarks

DVC = str(Path(sys.executable).with_name("dvc"))


def watch(parent: psutil.Process, peaks: dict[str, float], done: threading.Event) -> None:
    """Note in `peaks` the greatest resident size, in MB, of each stage that `parent` starts, until `done`."""
    while not done.wait(0.1):
        for process in parent.children(recursive=True):
            try:
                command = process.cmdline()
                status = Path(f"/proc/{process.pid}/status").read_text()
            except (psutil.Error, OSError):
                continue
            stage = next((shlex.join(command[i + 1 :]) for i, word in enumerate(command) if word == "-m"), None)
            peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
            if stage and peak:
                peaks[stage] = max(peaks.get(stage, 0.0), int(peak[1]) / 1000)


def main() -> None:
    """Run the pipeline, print and write what it took."""
    environment = dict(os.environ)
    mirror = environment.get("MNIST_MIRROR")
    if mirror and "://" not in mirror:
        environment["MNIST_MIRROR"] = str(Path(mirror).resolve())
    with tempfile.TemporaryDirectory(prefix="stages-") as folder:
        subprocess.run(["git", "clone", "--quiet", ".", folder], check=True)
        command = [DVC, "repro", "--force", "--no-run-cache"]
        start = time.perf_counter()
        seconds: dict[str, float] = {}
        peaks: dict[str, float] = {}
        done = threading.Event()
        running = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=watch, args=(psutil.Process(running.pid), peaks, done), daemon=True).start()
        stage, since = "", start
        assert running.stdout
        for line in running.stdout:
            print(line, end="", flush=True)
            if found := re.match(r"Running stage '(.*)'", line):
                now = time.perf_counter()
                if stage:
                    seconds[stage] = now - since
                stage, since = found[1], now
        if running.wait():
            sys.exit("the pipeline failed, see above.")
        done.set()
        seconds[stage] = time.perf_counter() - since
        total = time.perf_counter() - start
        again = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([DVC, "repro", "--quiet"], cwd=folder, check=True)
            again.append(time.perf_counter() - start)
    results = {
        "whole_seconds": round(total, 1),
        "nothing_to_do_seconds": round(statistics.median(again), 2),
        "stages": {
            name: {
                "seconds": round(value, 1),
                "peak_mb": round(peaks.get(f"pipeline.{name.replace('@', ' ')}", 0)),
            }
            for name, value in seconds.items()
        },
    }
    benchmarks.write("stages", results)


if __name__ == "__main__":
    main()
