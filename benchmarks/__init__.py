"""Benchmarks: speed, size, accuracy versus training time, robustness, rejection, reading. `make bench` runs them all.

    training.py      test accuracy versus training time of our models and presets and of published recipes
    recipes.py       these recipes, and our network in a bare PyTorch loop
    draw.py          the plots of training.json, learning_curve.json and cost.json in docs
    search.py        pairs of trainings that differ in one change
    variants.py      changes of training that params.yaml cannot express
    learning_curve.py test error of each model versus images and versus seconds
    ensemble.py      one network versus the mean of several
    members.py       which networks make the best ensemble
    pins.py          the cost of reproducible bytes
    rounding.py      whether scores depend on the last bits of ONNX Runtime
    othercpu/        programs on this x86-64 processor, as if it were another one
    stages.py        duration and memory of each stage in a fresh clone, and of a `dvc repro` that has nothing to do
    scaling.py       duration of all stages, one and several at once, on one machine and on a cluster
    cost.py          what stages cost on a cluster beside their commands, from the results of scaling.py
    copies.py        duration and memory of augmentation, training and evaluation with up to millions of images
    large.py         duration and memory of each stage on 100,000 large images in colour
    inference.py     latency and throughput of each model, and the latency of a photo
    int8.py          the winner, quantised to eight bits
    service.py       throughput and latency over HTTP, and behaviour under overload
    robustness.py    accuracy and coverage on corrupted images, with and without the canonicalizer
    canonicalizers.py the canonicalizer beside a network trained on corrupted images
    ood.py           the OOD detector beside baselines
    rejection.py     how many pictures without digits the winner rejects
    reading.py       how many pictures of digits the winner reads exactly: crops, low resolutions, rows, forms
    external/        the winner on datasets of others, for those who have them
    label_errors.py  how many known label errors of MNIST the stage `label_errors` finds
    results/         the latest results, each with the machine, versions and commit

Tests check that the benchmarks run; no test depends on the measured values.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from digits import errors
from pipeline import json_file, runtime
from pipeline.commands.verify import machine
from pipeline.fingerprints import records

RESULTS = Path("benchmarks/results")


def start(main: Callable[..., None], module: str) -> NoReturn:
    """Run `main` of a benchmark that needs no pinned libraries, with the arguments of the command line, and exit."""
    errors.run(lambda: runtime.call(main, module), runtime.ADVICE)


def read(name: str) -> dict[str, Any]:
    """Return the results in benchmarks/results/<name>.json, empty if there is no such file."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json_file.read(path)["results"] if path.exists() else {}
    return found


def processor() -> str:
    """Return the kind of this processor, such as "AMD EPYC, family 26, model 2"; timings of others do not compare."""
    here = records.this_processor()
    return f"{here['model_name']}, family {here['family']}, model {here['model']}"


def write(name: str, results: Any) -> None:
    """Write `results`, with the machine and commit they were measured on, to benchmarks/results/<name>.json."""
    commit = subprocess.check_output(["git", "describe", "--always"], text=True).strip()
    others = ["git", "status", "--porcelain", "--untracked-files=no", ".", ":!benchmarks/results", ":!docs"]
    commit += "-dirty" if subprocess.check_output(others) else ""
    here = machine() | {"cpu": processor()}
    json_file.write(RESULTS / f"{name}.json", {"machine": here, "commit": commit, "results": results})
