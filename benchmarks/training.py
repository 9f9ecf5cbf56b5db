"""Test accuracy against seconds of training, for our networks and the recipes of others, on the same 55,000 images:
`python -m benchmarks.training --seeds 5`. Each run is a process of its own; runs of all recipes take turns.

Seconds are those of the training loop with its validation, without loading libraries and data and without the export.
With `--threads 1` they are those of the CPU, so that other work on the machine does not count, and results are kept
under a name that says so. A recipe under way can be stopped; what was measured before stays in
benchmarks/results/training.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import torch

import benchmarks
from benchmarks.recipes import RECIPES
from pipeline import artifact, classifiers, params
from pipeline.datasets import arrays
from pipeline.training import Run, networks


def ours(name: str, seed: int, threads: int, keep: Path | None) -> list[tuple[float, float]]:
    """Return (seconds, test accuracy) of our model or preset `name`, trained by the engine of stage train; the model
    stays in the folder `keep`, if given.
    """
    settings = params.load()
    clock = time.process_time if threads == 1 else time.perf_counter
    facts = json.loads(arrays.FACTS.read_text())
    seconds, learn = 0.0, networks.learn

    def timed(*arguments: Any) -> None:
        nonlocal seconds
        start = clock()
        learn(*arguments)
        seconds += clock() - start

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(networks, "learn", timed):
        run = Run(
            name=name,
            train=arrays.load(arrays.TRAIN),
            validation=arrays.load(arrays.VALIDATION),
            mean=facts["train_pixel_mean"],
            std=facts["train_pixel_std"],
            settings=settings.model_copy(
                update={"seed": seed, "runtime": settings.runtime.model_copy(update={"threads": threads})}
            ),
            curves=Path(folder) / "curves",
            checkpoints=Path(folder) / "checkpoints",
        )
        runtime.seed(seed)
        fitted = classifiers.plan(name, settings.models | settings.presets).train(run)
        model = keep / f"{name}-{seed}" if keep else Path(folder) / "model"
        artifact.save(model, fitted.export(), {})
        test = arrays.load(arrays.TEST)
        right = artifact.Classifier.load(model, threads).predict(test.scaled()) == test.labels
    return [(seconds, float(right.mean()))]


def once(name: str, seed: int, threads: int, keep: Path | None) -> list[tuple[float, float]]:
    """Return (seconds, test accuracy), after each epoch of another's recipe, at the end of ours."""
    if name not in RECIPES:
        return ours(name, seed, threads, keep)
    torch.set_num_threads(threads)
    facts = json.loads(arrays.FACTS.read_text())
    pixels = facts["train_pixel_mean"], facts["train_pixel_std"]
    return list(RECIPES[name](arrays.load(arrays.TRAIN), arrays.load(arrays.TEST), pixels, seed))


def main() -> None:
    """Measure what the command line names, in turns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description="Accuracy against seconds.")
    parser.add_argument("names", nargs="*", default=[*RECIPES, "cnn_fast", "cnn"], help="recipes, models or presets")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each, with seeds 1, 2, ...")
    parser.add_argument("--threads", type=int, default=params.load().runtime.threads, help="of each run")
    parser.add_argument("--keep", type=Path, help="folder for our models, which benchmarks.ensemble reads")
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.once is not None:
        print(json.dumps(once(asked.names[0], asked.once, asked.threads, asked.keep)))
        return
    if asked.threads == 1 and not RECIPES.keys().isdisjoint(asked.names):
        parser.error("--threads 1 counts seconds of the CPU, which the recipes of others do not.")
    alone = ", one thread" if asked.threads == 1 else ""
    results = benchmarks.read("training")
    new: dict[str, dict[str, Any]] = {name + alone: {} for name in asked.names}
    for seed in range(1, asked.seeds + 1):
        for name in asked.names:
            command = [sys.executable, "-m", "benchmarks.training", name, "--once", str(seed)]
            command += ["--threads", str(asked.threads), *(["--keep", str(asked.keep)] if asked.keep else [])]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            points = new[name + alone][str(seed)] = json.loads(done.stdout.splitlines()[-1])
            results[name + alone] = new[name + alone]
            seconds, accuracy = points[-1]
            print(f"{name}, seed {seed}: {accuracy:.2%} after {seconds:.1f} s", flush=True)
            benchmarks.write("training", results)


if __name__ == "__main__":
    main()
