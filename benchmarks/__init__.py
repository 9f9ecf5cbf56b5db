"""How fast, how small, how good for the seconds: `make bench`. No test depends on what is measured here.

training.py     our models and presets and two published recipes (recipes.py), side by side on the same images: test
                accuracy against seconds; draw.py draws it
pins.py         what identical bytes cost
ensemble.py     one network, or the mean of several
inference.py    milliseconds for one image or photo, images a second in batches, for each model of the last `dvc repro`
stages.py       seconds and memory of each stage of a fresh `dvc repro`, and of one that has nothing to do
int8.py         the winner with whole numbers in place of fractions
service.py      requests a second and milliseconds over HTTP, and what four times too many requests do
suspects.py     how many known wrong labels of MNIST the stage `suspects` finds
rejection.py    pictures of what is no digit, and whether the winner says so
robustness.py   spoilt images, read with and without what tidies them
results/        what they wrote last, with the machine, versions and commit
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from pipeline.verify import machine

RESULTS = Path("benchmarks/results")


def read(name: str) -> dict[str, Any]:
    """Return the results in benchmarks/results/<name>.json, empty if there are none."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text())["results"] if path.exists() else {}
    return found


def write(name: str, results: Any) -> None:
    """Write `results`, with the machine that gave them, to benchmarks/results/<name>.json."""
    commit = subprocess.check_output(["git", "describe", "--always"], text=True).strip()
    others = ["git", "status", "--porcelain", "--untracked-files=no", ".", ":!benchmarks/results", ":!docs"]
    commit += "-dirty" if subprocess.check_output(others) else ""
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine(), "commit": commit, "results": results}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
