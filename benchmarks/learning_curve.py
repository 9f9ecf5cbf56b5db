"""Test error of each model versus the number of training images, and versus seconds of fitting:
`python -m benchmarks.learning_curve --seeds 5`.

A model is fitted to a random sample of the training and validation images, stratified by class; a twelfth of it serves
as the validation set, as in cross-validation. The seed determines the sample, and all randomness of the fit. Every fit
is a process of its own; its seconds include augmentation, and neither imports nor loading of data. The test images are
read once per fit, and nothing is selected by them. The benchmark may be interrupted: it goes on after the results in
benchmarks/results/learning_curve.json, as long as data, packages and code are the same.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("benchmarks.learning_curve")

import argparse
import hashlib
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

import benchmarks
from benchmarks.search import fingerprint
from digits.errors import InputError
from pipeline import json_file, params, runtime
from pipeline.classifiers import model_config
from pipeline.datasets import arrays
from pipeline.training import folds

SIZES = (1_000, 3_000, 10_000, 30_000, 60_000)

Fit = dict[str, Any]  # seconds, errors, test_images


def fit(name: str, count: int, seed: int) -> Fit:
    """Fit the model `name` to `count` images and return seconds and the number of test errors.

    Raises:
        InputError: there are fewer images.
    """
    settings = params.load()
    config = model_config(name, settings).for_dataset(json_file.read(arrays.METADATA))
    images = arrays.joined(arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION))
    classes = len(np.unique(images.labels))
    if count != len(images) and count > (most := len(images) - classes):
        raise InputError(f"--sizes: found {count:,}. Expected at most {most:,}, or {len(images):,}, which are all.")
    if count < len(images):
        rows, _ = train_test_split(np.arange(len(images)), train_size=count, stratify=images.labels, random_state=seed)
        images = images.at(rows)
    test = arrays.load(arrays.TEST)
    runtime.seed(seed)
    start = time.perf_counter()
    fitted = folds.fit(config, images, classes, seed, settings.runtime.threads)
    seconds = time.perf_counter() - start
    errors = int((fitted.predict_proba(test).argmax(axis=1) != test.labels).sum())
    return {"seconds": round(seconds, 2), "errors": errors, "test_images": len(test)}


def in_process(name: str, size: str, seed: str) -> Fit:
    """Return what `fit` does, in a process of its own.

    Raises:
        InputError: it failed.
    """
    command = [sys.executable, "-m", "benchmarks.learning_curve", name, "--once", size, seed]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InputError(f"{name} with {size} images failed, see above.")
    found: Fit = json.loads(done.stdout.splitlines()[-1])
    return found


def main(*arguments: str) -> None:
    """Fit what is missing, the seeds in turns, print and write the results.

    Raises:
        InputError: no such model, or a fit failed.
    """
    settings = params.load()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning_curve", description=__doc__)
    parser.add_argument("names", nargs="*", default=[*settings.models], help="models of params.yaml; by default all")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of images")
    parser.add_argument("--seeds", type=int, default=5, help="fits of each, with seeds 1, 2, ...")
    parser.add_argument("--once", type=int, nargs=2, metavar=("SIZE", "SEED"), help=argparse.SUPPRESS)
    how = parser.parse_args(arguments)
    if how.once:
        print(json.dumps(fit(how.names[0], *how.once)))
        return
    configs = {name: model_config(name, settings) for name in how.names}
    results = benchmarks.read("learning_curve")
    code = fingerprint()
    for seed in map(str, range(1, how.seeds + 1)):
        for name, config in configs.items():
            setting = hashlib.sha256(f"{code}{config}{settings.runtime}".encode()).hexdigest()[:16]
            if results.get(name, {}).get("setting") != setting:
                results[name] = {"setting": setting, "sizes": {}}
            for size in map(str, how.sizes):
                runs = results[name]["sizes"].setdefault(size, {})
                if seed in runs:
                    continue
                runs[seed] = run = in_process(name, size, seed)
                error = run["errors"] / run["test_images"]
                print(f"{name}, {size} images, seed {seed}: {error:.2%} in {run['seconds']:.1f} s", flush=True)
                benchmarks.write("learning_curve", results)
