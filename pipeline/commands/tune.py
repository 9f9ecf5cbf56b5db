"""Command: search for better hyperparameters of a model: `python -m pipeline.commands.tune svm`.

Each trial is fitted to the first `tuning.images` training images and scored on the validation set; the test images are
not read. The first trial has the values of params.yaml, the next ones random values, and all others the values that
`pipeline.commands.search` expects to be good. A trial is pruned if a quarter of the images gives a lower accuracy than
the median of the earlier trials.

Finished trials are saved, and an interrupted search continues after the last of them. With `--workers n` n trials run
at once: each is a function of its number and of the trials that were finished before these n began, so that a search
with as many workers gives the same trials. The result goes to
docs/tuning/<model>.json, with a plot beside it.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.commands.tune")

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from digits.errors import InputError
from pipeline import json_file, params, runtime, scoring
from pipeline.classifiers import model_config
from pipeline.commands.search import Measure, Search, Trial, best, compare, confirm
from pipeline.datasets import arrays
from pipeline.onnx_graph.write import versions
from pipeline.params import Params
from pipeline.reporting import plots
from pipeline.training import checkpoints, stroke_digits, temporary_context

RECORDS = Path("docs/tuning")

RunTrials = Callable[[list[Trial], Sequence[int]], list[Trial]]  # finished trials, numbers of new ones -> new ones


def main(*arguments: str) -> None:
    """Search for hyperparameters of the model that the command line names, print and record the result."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.commands.tune", description="Search for better hyperparameters of a model."
    )
    parser.add_argument("model", help="a name under models in params.yaml")
    parser.add_argument(
        "--confirm", action="store_true", help="compare the first and the best trial again, on all training images"
    )
    parser.add_argument("--apply", action="store_true", help="write the best values to params.yaml")
    parser.add_argument("--workers", type=int, default=1, help="trials at once, which share the threads of params.yaml")
    options = parser.parse_args(arguments)

    name, workers, settings = options.model, options.workers, sharing(params.load(), options.workers)
    search, data = Search.from_params(name, settings), json_file.read(arrays.METADATA)
    measure, saved, most = measure_on(name, settings, data)
    with trial_runner(name, search, settings, data, measure, workers) as run:
        trials = run_trials(
            settings, run, saved if workers == 1 else saved.with_name(f"trials-{workers}.json"), workers
        )
    record = describe(name, settings, data, search, trials)
    found = best(trials)
    if options.confirm:
        record["confirmed"] = confirm(trials[0], found, most, measure)
    json_file.write(RECORDS / f"{name}.json", record)
    plots.save(plots.search(record), RECORDS / f"{name}.png")
    print(f"best: {summary(found)}\n{RECORDS / name}.json has all trials, {RECORDS / name}.png shows them. To use it:")
    print("  dvc exp run " + " ".join(f"-S models.{name}.{key}={value}" for key, value in found["params"].items()))
    if options.apply:
        apply(name, found["params"])
        print(f"params.yaml has these values now. `dvc repro` builds {name} with them.")


def measure_on(name: str, settings: Params, data: dict[str, Any]) -> tuple[Measure, Path, int]:
    """Return the function that fits and scores a trial of the model `name`; the file for finished trials, which is
    another one for other code, data or parameters; and the size of the training set.

    Args:
        data: the content of data/prepared/metadata.json.

    Raises:
        InputError: there are fewer training images than a trial needs.
    """
    config = model_config(name, settings).for_dataset(data)
    train = arrays.load(arrays.AUGMENTED if config.training_set == "augmented" else arrays.TRAIN)
    validation, images = arrays.load(arrays.VALIDATION), settings.tuning.images
    if len(train) < images:
        raise InputError(f"params.yaml: tuning.images: found {images}. Allowed: up to {len(train)}.")

    def measure(values: dict[str, Any], count: int) -> tuple[dict[str, float], list[int]]:
        trial = model_config(name, settings.with_model(name, values)).for_dataset(data)
        runtime.seed(settings.seed)
        with temporary_context(
            name=name,
            train=stroke_digits.add(train.first(count), trial.policy.stroke_digits, settings.seed),
            validation=validation,
            classes=len(data["classes"]),
            mean=data["train_pixel_mean"],
            std=data["train_pixel_std"],
            augmentation=trial.batch_augmentation,
            seed=settings.seed,
            threads=settings.runtime.threads,
        ) as context:
            probabilities = trial.in_one_process().fit(context).predict_proba(validation)
        errors = (probabilities.argmax(axis=1) != validation.labels).nonzero()[0]
        return scoring.headline(probabilities, validation.labels), errors.tolist()

    parameters = (settings.seed, settings.runtime, images, config, settings.tuning.spaces[name])
    inputs = (*parameters, data, versions(), train.first(images), validation)
    saved = checkpoints.folder(f"tune-{name}", *inputs) / "trials.json"
    return measure, saved, len(train)


def sharing(settings: Params, workers: int) -> Params:
    """Return `settings` with the threads of each of `workers`.

    Raises:
        InputError: there are not that many cores.
    """
    cores = os.cpu_count() or 1
    if not 1 <= workers <= cores:
        raise InputError(f"--workers: found {workers}. Allowed: 1 to {cores}, the number of cores.")
    threads = max(1, settings.runtime.threads // workers)
    return settings.model_copy(update={"runtime": settings.runtime.model_copy(update={"threads": threads})})


@contextmanager
def trial_runner(
    name: str, search: Search, settings: Params, data: dict[str, Any], measure: Measure, workers: int
) -> Iterator[RunTrials]:
    """Yield the function that runs the trials with the given numbers after finished ones, in processes of their own if
    there are several workers.
    """
    if workers == 1:
        yield lambda trials, numbers: [search.next(trials, settings.tuning.images, measure, n) for n in numbers]
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:

        def run(trials: list[Trial], numbers: Sequence[int]) -> list[Trial]:
            jobs = [pool.submit(_run_trial, name, settings, data, trials, number) for number in numbers]
            return [job.result() for job in jobs]

        yield run


def _run_trial(name: str, settings: Params, data: dict[str, Any], trials: list[Trial], number: int) -> Trial:
    measure, _, _ = measure_on(name, settings, data)
    return Search.from_params(name, settings).next(trials, settings.tuning.images, measure, number)


def run_trials(settings: Params, run: RunTrials, saved: Path, workers: int = 1) -> list[Trial]:
    """Return `tuning.trials` finished trials: those in the file `saved` and as many new ones as needed."""
    trials: list[Trial] = json_file.read(saved) if saved.exists() else []
    if trials:
        print(f"continuing after the {len(trials)} trials in {saved}")
    trials = trials[: settings.tuning.trials]
    while (done := len(trials)) < settings.tuning.trials:
        trials += run(trials, range(done, min(done + workers, settings.tuning.trials)))
        json_file.write(saved, trials)
        print(*map(summary, trials[done:]), sep="\n", flush=True)
    return trials


def describe(name: str, settings: Params, data: dict[str, Any], search: Search, trials: list[Trial]) -> dict[str, Any]:
    """Return the record of a finished search, for docs/tuning/<model>.json.

    Raises:
        InputError: no trial is complete.
    """
    found = best(trials)
    return {
        "model": name,
        "kind": settings.models[name]["kind"],
        "data": data["title"],
        "images": settings.tuning.images,
        "validation": sum(data["images_per_class"]["validation"]),
        "seed": settings.seed,
        "ranges": {key: limits.model_dump() for key, limits in search.ranges.items()},
        "start": _without_errors(trials[0]),
        "best": _without_errors(found),
        "comparison": compare(trials[0], found),
        "importance": search.importance(trials),
        "trials": [_without_errors(trial) for trial in trials],
    }


def _without_errors(trial: Trial) -> Trial:
    return {key: value for key, value in trial.items() if key != "errors"}


def summary(trial: Trial) -> str:
    """Return one line about `trial`: state, accuracies and values."""
    values = ", ".join(f"{key}={value}" for key, value in trial["params"].items())
    scores = ", ".join(f"{score['accuracy']:.4f} with {score['images']:,} images" for score in trial["scores"])
    return f"trial {trial['number']}: {trial['state']}: {scores}; {values}"


def apply(name: str, values: dict[str, float], path: Path = params.FILE) -> None:
    """Write `values` into the entry of the model `name` in params.yaml; comments and everything else are unchanged."""
    yaml = YAML()
    yaml.width = 1_000  # leaves long lines as they are
    tree = yaml.load(path.read_text(encoding="utf-8"))
    tree["models"][name].update(values)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)
