"""Test accuracy versus training time of our networks and of published recipes, on the same training images:
`python -m benchmarks.training --seeds 5`.

Every run is a process of its own, and the recipes take turns. The time is that of the training loop with its
validation, without imports, loading of data and export. With `--threads 1` it is CPU time, which other work on the
machine hardly changes, and the results are stored under a name that says so. With `--free` each runs also without the
CPU restrictions of `pipeline.runtime`, in turns with the runs under them: a recipe of others is then as fast as its
users have it. The benchmark may be interrupted: finished runs are in benchmarks/results/training.json.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("benchmarks.training")

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import benchmarks
from benchmarks import pins
from benchmarks.ensemble import SPLITS
from benchmarks.recipes import RECIPES
from pipeline import json_file, params, runtime
from pipeline.classifiers import ModelConfig, model_config
from pipeline.datasets import arrays
from pipeline.train import TRAINING_SETS
from pipeline.training import networks, stroke_digits, temporary_context

FREE = ", free"  # after the name of what runs without restrictions of the CPU

Points = list[tuple[float, float]]  # seconds so far, test accuracy


def configured(name: str, settings: params.Params) -> ModelConfig:
    """Return the model or preset `name`.

    Raises:
        InputError: there is none of that name, or its hyperparameters are wrong.
    """
    return model_config(name, settings, "presets" if name in settings.presets else "models")


def train_ours(name: str, seed: int, threads: int, keep: Path | None = None) -> Points:
    """Train our model or preset `name`, a network, as the stage `train` does.

    Args:
        keep: folder for its probabilities on the validation and test images.
    """
    data = json_file.read(arrays.METADATA)
    config = configured(name, params.load()).for_dataset(data)
    splits = {split: arrays.load(folder) for split, folder in SPLITS.items()}
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds, train = 0.0, networks.train

    def timed(module: networks.LightningClassifier, *arguments: Any, **options: Any) -> int:
        nonlocal seconds
        _ = module.curves.experiment  # imports DVC
        importlib.import_module("omegaconf")  # as Lightning does before the first checkpoint
        start = clock()
        epoch = train(module, *arguments, **options)
        seconds += clock() - start
        return epoch

    context = temporary_context(
        name=name,
        train=stroke_digits.add(arrays.load(TRAINING_SETS[config.training_set]), config.policy.stroke_digits, seed),
        validation=splits["validation"],
        classes=len(data["classes"]),
        mean=data["train_pixel_mean"],
        std=data["train_pixel_std"],
        augmentation=config.batch_augmentation,
        seed=seed,
        threads=threads,
    )
    runtime.seed(seed)
    with context as values, mock.patch.object(networks, "train", timed):
        fitted = config.fit(values)
    probabilities = {split: fitted.predict_proba(images) for split, images in splits.items()}
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        np.savez(keep / f"{name}-{seed}", validation=probabilities["validation"], test=probabilities["test"])
    return [(seconds, float((probabilities["test"].argmax(axis=1) == splits["test"].labels).mean()))]


def run_once(name: str, seed: int, threads: int, keep: Path | None) -> Points:
    """Return seconds and test accuracy: after each epoch of a published recipe, or at the end of our training."""
    if name not in RECIPES:
        return train_ours(name, seed, threads, keep)
    torch.set_num_threads(threads)
    data = json_file.read(arrays.METADATA)
    pixels = data["train_pixel_mean"], data["train_pixel_std"]
    return list(RECIPES[name](arrays.load(arrays.TRAIN), arrays.load(arrays.TEST), pixels, seed))


def in_process(name: str, seed: int, threads: int, keep: Path | None, place: Path) -> Points:
    """Return what `run_once` does, in a process of its own that runs in the workspace `place`."""
    command = [sys.executable, "-m", "benchmarks.training", name, "--once", str(seed), "--threads", str(threads)]
    command += ["--keep", str(keep.resolve())] if keep else []
    done = subprocess.run(command, cwd=place, stdout=subprocess.PIPE, text=True, check=True)
    points: Points = json.loads(done.stdout.splitlines()[-1])
    return points


def main(*arguments: str) -> None:
    """Run what the command line names, in turns, and write the results."""
    settings = params.load()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description="Test accuracy versus training time."
    )
    parser.add_argument("names", nargs="*", default=[*RECIPES, "cnn_fast", "cnn"], help="recipes, models or presets")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each, with seeds 1, 2, ... up to this one")
    parser.add_argument(
        "--first", type=int, default=1, help="the first seed, if stored runs of smaller ones are of the same training"
    )
    parser.add_argument("--threads", type=int, default=settings.runtime.threads, help="of each run")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to store what benchmarks.ensemble reads")
    parser.add_argument("--free", action="store_true", help="run each also without restrictions of the CPU")
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.once is not None:
        print(json.dumps(run_once(options.names[0], options.once, options.threads, options.keep)))
        return
    if options.threads == 1 and not RECIPES.keys().isdisjoint(options.names):
        parser.error("--threads 1 measures CPU time, which the published recipes do not.")
    for name in set(options.names) - RECIPES.keys():
        configured(name, settings)
    if options.first > options.seeds:
        parser.error(f"--first: found {options.first}. Expected at most --seeds, {options.seeds}.")
    thread = ", one thread" if options.threads == 1 else ""
    results = benchmarks.read("training")
    with tempfile.TemporaryDirectory(prefix="free-") as top:
        places = {thread: Path()}
        if options.free:
            places[f"{thread}{FREE}"] = Path(top) / "free"
            pins.make_workspace(Path(top) / "free", [pins.FREE])
        new: dict[str, dict[str, Any]] = {
            name: {seed: run for seed, run in results.get(name, {}).items() if int(seed) < options.first}
            for name in (name + suffix for name in options.names for suffix in places)
        }
        for seed in range(options.first, options.seeds + 1):
            for name in options.names:
                for suffix, place in places.items():
                    run = in_process(name, seed, options.threads, options.keep, place)
                    new[name + suffix][str(seed)] = run
                    results[name + suffix] = new[name + suffix]
                    print(
                        f"{name}{suffix}, seed {seed}: test accuracy {run[-1][1]:.2%} after {run[-1][0]:.1f} s",
                        flush=True,
                    )
                    benchmarks.write("training", results)
