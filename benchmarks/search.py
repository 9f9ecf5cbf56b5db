"""Pairs of trainings that differ in one change only, to see whether it makes a model better.

    python -m benchmarks.search cnn -S models.cnn.lr=0.03 -S "variant=lookahead models.cnn.epochs=12" --pairs 40

A change consists of values in params.yaml, and of variants of the training in benchmarks/variants.py. What the change
is compared with is the model as in params.yaml, or with --baseline another change: `--baseline models.cnn.epochs=4`
makes every training short, which shows more of many changes in the same time.

Both trainings of a pair have the same seed, training images and held-out images: 10,000 of the training and validation
images; other pairs have others. Each has one thread, and as many run at once as there are cores. The test images are
not read.

There is an interim analysis after each fifth of the pairs. A change is better if fewer held-out images are
misclassified, significantly by the two-sided 5% boundaries of O'Brien and Fleming (A multiple testing procedure for
clinical trials, 1979) with quantiles of Student's t distribution: a change without effect is found better with a
probability of 2.5%, over all analyses. That is per change; of several changes more are found by chance. A change is
given up, for futility, if a one-sided 95% interval excludes a gain of --margin errors. The benchmark may be
interrupted and goes on from there: finished trainings are in benchmarks/results/pairs.json, and are used as long as
the data, the packages and the code of models and training are the same.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("benchmarks.search")

import argparse
import contextlib
import hashlib
import inspect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dvc.exceptions import DvcException
from dvc.utils.hydra import apply_overrides
from scipy.stats import norm, t
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import benchmarks
from benchmarks import variants
from benchmarks.training import configured
from digits.errors import InputError
from pipeline import json_file, params, runtime
from pipeline.datasets import arrays
from pipeline.training import folds

HELD_OUT = 10_000
LOOKS, BOUNDARY = 5, 2.040  # O'Brien and Fleming's constant for five looks and 5%
LEAST = 4  # pairs for each look
CODE = ("pipeline/classifiers", "pipeline/training", "pipeline/datasets/arrays.py")
BASELINE = ""  # the change that changes nothing
VARIANT = "variant="

Run = dict[str, Any]  # errors on the held-out images, their log loss, and seconds of CPU time


class Difference(NamedTuple):
    """What is known of a change after some pairs.

    Attributes:
        mean: of errors with the change minus errors without, on 10,000 images.
        low, high: the 95% interval of the mean by Student's t distribution, as if this were the only look.
        verdict: better, given up, not better (after the last look), or open.
    """

    mean: float
    low: float
    high: float
    verdict: str


def difference(errors: Sequence[float], pairs: int, margin: float) -> Difference:
    """Return what is known of a change.

    Args:
        errors: with the change minus without, one per finished pair; at least two.
        pairs: at most.
        margin: the smallest gain of interest, in errors.
    """
    count, mean = len(errors), statistics.mean(errors)
    spread = max(statistics.stdev(errors), 1.0) / count**0.5  # few pairs may happen to be equal
    look = max(1, count * LOOKS // pairs)
    level = 2 * norm.sf(BOUNDARY * (LOOKS / look) ** 0.5)
    verdict = "open"
    if mean + float(t.isf(level / 2, count - 1)) * spread < 0:
        verdict = "better"
    elif count >= pairs:
        verdict = "not better"
    elif mean - float(t.isf(0.05, count - 1)) * spread > -margin:
        verdict = "given up"
    half = float(t.isf(0.025, count - 1)) * spread
    return Difference(mean, mean - half, mean + half, verdict)


def changed(change: str) -> params.Params:
    """Return params.yaml with the values of `change`, such as "seed=1 models.cnn.lr=0.03".

    Raises:
        InputError: no such parameter, or a value that does not fit.
    """
    overrides = [word for word in change.split() if not word.startswith(VARIANT)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(Path(params.FILE).read_text())
        try:
            apply_overrides(path, overrides)
        except DvcException as error:
            raise InputError(f"-S: found {change!r}. {error.__cause__ or error}") from None
        return params.load(path)


def variants_of(change: str) -> list[str]:
    """Return the names of the variants of training in `change`.

    Raises:
        InputError: there is none of that name.
    """
    names = [word.removeprefix(VARIANT) for word in change.split() if word.startswith(VARIANT)]
    if unknown := [name for name in names if name not in variants.VARIANTS]:
        raise InputError(f"-S: found {VARIANT}{unknown[0]}. Allowed: {', '.join(variants.VARIANTS)}.")
    return names


def predict(name: str, change: str, split: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Train a model on the images that `split` does not hold out; return its probabilities (n, classes) of those that
    it does, their labels (n,), and the seconds of CPU time.
    """
    config = configured(name, changed(change)).for_dataset(json_file.read(arrays.METADATA))
    images = arrays.joined(arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION))
    rows, held_out = (
        images.at(part)
        for part in train_test_split(
            np.arange(len(images)), test_size=HELD_OUT, stratify=images.labels, random_state=split
        )
    )
    runtime.seed(seed)
    with contextlib.ExitStack() as stack:
        for variant in variants_of(change):
            stack.enter_context(variants.VARIANTS[variant]())
        start = time.process_time()
        fitted = folds.fit(config, rows, len(np.unique(images.labels)), seed, threads=1)
        seconds = time.process_time() - start
        return fitted.predict_proba(held_out), held_out.labels, seconds


def train(name: str, change: str, seed: int) -> Run:
    """Train a model on the images that `seed` does not hold out, and count its errors on those that it does."""
    probabilities, labels, seconds = predict(name, change, seed, seed)
    return {
        "errors": int((probabilities.argmax(axis=1) != labels).sum()),
        "log_loss": round(float(log_loss(labels, probabilities)), 6),
        "seconds": round(seconds, 1),
    }


def in_process(name: str, change: str, seed: int) -> Run:
    """Return what `train` does, in a process of its own.

    Raises:
        InputError: it failed.
    """
    command = [sys.executable, "-m", "benchmarks.search", name, "-S", change, "--once", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InputError(f"the training with {change or 'no change'!r} failed, see above.")
    run: Run = json.loads(done.stdout.splitlines()[-1])
    return run


def fingerprint() -> str:
    """Return a checksum of the code that trains, the packages and the images."""
    files = sorted(file for name in CODE for file in (Path(name), *Path(name).glob("*.py")) if file.is_file())
    files += [runtime.LOCK, arrays.TRAIN / arrays.SUMS, arrays.VALIDATION / arrays.SUMS]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def setting(name: str, change: str) -> str:
    """Return a checksum of everything in params.yaml on which the training of a model depends, and of its variants."""
    config = configured(name, changed(change))
    code = [inspect.getsource(variants.VARIANTS[variant]) for variant in variants_of(change)]
    return hashlib.sha256(repr([config, *code]).encode()).hexdigest()[:16]


def main(*arguments: str) -> None:
    """Train pairs until there is a verdict on every change; print and write the results.

    Raises:
        InputError: no such model or parameter, or a training failed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a model or preset of params.yaml")
    parser.add_argument("-S", dest="changes", action="append", required=True, metavar="CHANGE")
    parser.add_argument("--baseline", default="", metavar="CHANGE", help="in all trainings; by default nothing")
    parser.add_argument("--pairs", type=int, default=40, help=f"at most; at least {LEAST * LOOKS}")
    parser.add_argument("--margin", type=float, default=1.0, help="the smallest gain of interest, in errors of 10,000")
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    how = parser.parse_args(arguments)
    if how.once is not None:
        print(json.dumps(train(how.model, how.changes[0], how.once)))
        return
    if how.pairs < LEAST * LOOKS:
        raise InputError(f"--pairs: found {how.pairs}. Expected at least {LEAST * LOOKS}, {LEAST} for each look.")
    whole = {change: f"{how.baseline} {change}".strip() for change in (BASELINE, *how.changes)}
    settings = {change: setting(how.model, all_of_it) for change, all_of_it in whole.items()}
    same = [change for change in how.changes if settings[change] == settings[BASELINE]]
    if same:
        raise InputError(f"-S: found {same[0]!r}, which changes nothing for {how.model}.")
    results = benchmarks.read("pairs")
    code = fingerprint()
    runs = {change: results.setdefault("runs", {}).setdefault(f"{code}-{settings[change]}", {}) for change in settings}
    model = f"{how.model} {how.baseline}".strip()
    found: dict[str, Difference] = {}
    seeds = [str(seed) for seed in range(1, how.pairs + 1)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for look in range(1, LOOKS + 1):
            here = seeds[: how.pairs * look // LOOKS]
            still = [change for change in how.changes if change not in found or found[change].verdict == "open"]
            missing = [(change, seed) for seed in here for change in (BASELINE, *still) if seed not in runs[change]]
            trained = pool.map(lambda one: in_process(how.model, whole[one[0]], int(one[1])), missing)
            for (change, seed), run in zip(missing, trained, strict=True):
                runs[change][seed] = run
                benchmarks.write("pairs", results)
            for change in still:
                errors = [runs[change][seed]["errors"] - runs[BASELINE][seed]["errors"] for seed in here]
                losses = [runs[change][seed]["log_loss"] - runs[BASELINE][seed]["log_loss"] for seed in here]
                seconds = [runs[change][seed]["seconds"] / runs[BASELINE][seed]["seconds"] for seed in here]
                found[change] = difference(errors, how.pairs, how.margin)
                results.setdefault("changes", {}).setdefault(model, {})[change] = {
                    **found[change]._asdict(),
                    "pairs": len(here),
                    "baseline_errors": statistics.mean(runs[BASELINE][seed]["errors"] for seed in here),
                    "log_loss": round(statistics.mean(losses), 6),
                    "log_loss_standard_error": round(statistics.stdev(losses) / len(losses) ** 0.5, 6),
                    "seconds": round(statistics.median(seconds), 3),
                }
                mean, low, high, verdict = found[change]
                print(
                    f"{change}: {mean:+.1f} errors [{low:+.1f}, {high:+.1f}], {len(here)} pairs: {verdict}", flush=True
                )
            benchmarks.write("pairs", results)
