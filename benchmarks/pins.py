"""What identical bytes cost, and how two cores are best used: `python -m benchmarks.pins`.

Two epochs of our `cnn` in a bare loop: with the pins of pipeline/runtime.py and without them; and with one thread, two
such trainings at once. Medians of rounds in which all take turns.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import benchmarks

ROUNDS = 3
WAYS: dict[str, dict[str, Any]] = {  # changes of params.yaml's section runtime
    "pinned": {"reproducible": True},
    "free": {"reproducible": False},
    "two_at_once_one_thread_each": {"reproducible": True, "threads": 1},
}


def workspace(folder: Path, changes: dict[str, Any]) -> None:
    """Make `folder` a workspace like this one, with two epochs and `changes` in params.yaml's section runtime."""
    for name in ("pipeline", "benchmarks", "data", "requirements.lock"):
        (folder / name).symlink_to(Path(name).resolve())
    yaml = YAML()
    settings = yaml.load(Path("params.yaml"))
    settings["models"]["cnn"]["epochs"] = 2
    settings["runtime"].update(changes)
    yaml.dump(settings, folder / "params.yaml")


def main() -> None:
    """Measure, print and write."""
    command = [sys.executable, "-m", "benchmarks.training", "bare_cnn", "--once", "1"]
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="pins-") as folder:
        for way, changes in WAYS.items():
            (Path(folder) / way).mkdir()
            workspace(Path(folder) / way, changes)
        for _ in range(ROUNDS):
            for way in WAYS:
                at_once = 2 if way.startswith("two") else 1
                running = [
                    subprocess.Popen(command, cwd=Path(folder) / way, stdout=subprocess.PIPE, text=True)
                    for _ in range(at_once)
                ]
                slowest = max(json.loads(process.communicate()[0].splitlines()[-1])[-1][0] for process in running)
                seconds[way].append(round(slowest / at_once, 2))
                print(f"{way}: {seconds[way][-1]} s a training", flush=True)
    medians = {way: statistics.median(values) for way, values in seconds.items()}
    benchmarks.write("pins", {"seconds_a_training": medians, "rounds": seconds})


if __name__ == "__main__":
    main()
