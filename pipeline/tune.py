"""Command: search for better hyperparameters of a model: `python -m pipeline.tune svm`.

Each trial learns from the first `tuning.images` train images and is measured on validation; the test images are not
read. The first trial is what params.yaml says now, the next ones are drawn at random, and from then on a
tree-structured Parzen estimator (Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011) proposes what is
promising. A trial that is worse than the median of the earlier ones after a quarter of the images ends there.

What comes next depends on the finished trials and the seed alone. They are written down after each trial, so a search
that was killed goes on as if nothing had been. Its record goes to docs/tuning/<model>.json, its picture beside it.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState
from ruamel.yaml import YAML

from pipeline import artifact, classifiers, params, scoring
from pipeline.datasets import arrays
from pipeline.errors import InputError
from pipeline.params import Range
from pipeline.reporting import plots
from pipeline.scoring.rounding import rounded
from pipeline.scoring.uncertainty import p_value
from pipeline.training import Run, checkpoints

RECORDS = Path("docs/tuning")
PARTS = (1 / 4, 1)  # of the images, one after the other: a trial may end after the first
AT_RANDOM = 8  # trials before the search learns from them
DIGITS = 3  # of a proposed number
ENDS = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.PRUNED}

Trial = dict[str, Any]  # number, params, state, and per part of the images: scores; wrong: rows of validation
Measure = Callable[[dict[str, Any], int], tuple[dict[str, float], list[int]]]  # values, images -> scores, wrong rows

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Search:
    """Ranges by hyperparameter, the values to start from, and a seed."""

    ranges: dict[str, Range]
    start: dict[str, float]
    seed: int

    def next(self, trials: list[Trial], images: int, measure: Measure) -> Trial:
        """Make the trial that comes after `trials`, which depends on nothing else."""
        asked = self.study(trials).ask(self.distributions())
        values = {key: self._short(key, asked.params[key]) for key in self.ranges} if trials else self.start
        trial: Trial = {"number": len(trials), "params": values, "state": "complete", "scores": [], "wrong": []}
        for part in PARTS:
            count = int(images * part)
            try:
                scores, trial["wrong"] = measure(values, count)
            except InputError as error:
                return trial | {"state": "failed", "why": str(error)}
            trial["scores"].append({"images": count, **scores})
            asked.report(scores["accuracy"], count)
            if part < 1 and asked.should_prune():
                return trial | {"state": "pruned"}
        return trial

    def study(self, trials: list[Trial]) -> optuna.Study:
        """Return Optuna's study that has seen `trials`."""
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=self.seed + len(trials), n_startup_trials=AT_RANDOM),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=AT_RANDOM // 2),
        )
        for trial in trials:
            seen = optuna.trial.create_trial(
                params=trial["params"],
                distributions=self.distributions(),
                state=ENDS[trial["state"]],
                value=trial["scores"][-1]["accuracy"] if trial["state"] == "complete" else None,
                intermediate_values={score["images"]: score["accuracy"] for score in trial["scores"]},
            )
            study.add_trial(seen)
        return study

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the ranges as Optuna has them."""
        return {key: _distribution(limits) for key, limits in self.ranges.items()}

    def importance(self, trials: list[Trial]) -> dict[str, float]:
        """Return which part of the variance of validation accuracy each hyperparameter explains (fANOVA), most first;
        nothing where too few trials are complete.
        """
        if sum(trial["state"] == "complete" for trial in trials) < AT_RANDOM:
            return {}
        found = get_param_importances(self.study(trials), evaluator=FanovaImportanceEvaluator(seed=self.seed))
        return {key: rounded(value) for key, value in found.items()}

    def _short(self, key: str, value: float) -> float:
        limits = self.ranges[key]
        return value if isinstance(value, int) else min(max(float(f"{value:.{DIGITS}g}"), limits.low), limits.high)


def _distribution(limits: Range) -> BaseDistribution:
    if isinstance(limits.low, int) and isinstance(limits.high, int):
        return IntDistribution(limits.low, limits.high, log=limits.log)
    return FloatDistribution(limits.low, limits.high, log=limits.log)


def search(name: str, settings: params.Params) -> Search:
    """Return what params.yaml's `tuning` says of the model `name`.

    Raises:
        InputError: no such model, no ranges for it, or ranges that do not fit it.
    """
    plan = classifiers.plan(name, settings.models)
    where = f"params.yaml: tuning.spaces.{name}"
    numbers = {k: v for k, v in plan.hyperparameters.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    ranges = settings.tuning.spaces.get(name)
    if not ranges:
        raise InputError(f"{where}: expected a range for one or more of {', '.join(numbers)}; found none.")
    for key, limits in ranges.items():
        if key not in numbers:
            raise InputError(f"{where}: {key}: not a number of models.{name}. Allowed: {', '.join(numbers)}.")
        if isinstance(numbers[key], float) and isinstance(limits.low, int) and isinstance(limits.high, int):
            raise InputError(
                f"{where}.{key}: expected an end with a decimal point, as in models.{name}.{key}: {numbers[key]}; "
                f"found {limits.low} to {limits.high}, between which only whole numbers are tried."
            )
        if not limits.low <= numbers[key] <= limits.high:
            raise InputError(
                f"{where}.{key}: expected a range around models.{name}.{key}, which is {numbers[key]}; "
                f"found {limits.low} to {limits.high}."
            )
        for end in (limits.low, limits.high):
            classifiers.plan(name, {name: settings.models[name] | {key: end}})
    return Search(ranges, {key: numbers[key] for key in ranges}, settings.seed)


def best(trials: list[Trial]) -> Trial:
    """Return the complete trial with the greatest validation accuracy; of several the one with the least log loss.

    Raises:
        InputError: none is complete.
    """
    complete = [trial for trial in trials if trial["state"] == "complete"]
    if not complete:
        raise InputError(f"no trial of {len(trials)} came to its end. Of the last one: {trials[-1].get('why')}")
    return max(complete, key=lambda trial: (trial["scores"][-1]["accuracy"], -trial["scores"][-1]["log_loss"]))


def compare(start: Trial, found: Trial) -> dict[str, float]:
    """Return how many validation images only `start` and only `found` reads wrong, and McNemar's exact p of the two."""
    worse, better = (len(set(a["wrong"]) - set(b["wrong"])) for a, b in ((start, found), (found, start)))
    return {"only_start_wrong": worse, "only_best_wrong": better, "mcnemar_p": rounded(p_value(worse, better))}


def confirm(start: Trial, found: Trial, images: int, measure: Measure) -> dict[str, Any]:
    """Return how `start` and `found` compare when they learn from so many images: what is best for few images need not
    be best for all.
    """
    again = []
    for trial in (start, found):
        scores, wrong = measure(trial["params"], images)
        again.append({"scores": scores, "wrong": wrong})
    compared = {"images": images, "start": again[0]["scores"], "best": again[1]["scores"]}
    return compared | {"comparison": compare(*again)}


def measure_on(name: str, settings: params.Params, facts: dict[str, Any]) -> tuple[Measure, Path]:
    """Return how a trial of the model `name` is measured, and the file where finished trials are kept, which is another
    one for other code, data or parameters.
    """
    plan = classifiers.plan(name, settings.models)
    train, validation = arrays.load(Path("data") / plan.examples / "train"), arrays.load(arrays.VALIDATION)
    if len(train) < settings.tuning.images:
        raise InputError(f"params.yaml: tuning.images: found {settings.tuning.images}. Allowed: up to {len(train)}.")

    def measure(values: dict[str, Any], count: int) -> tuple[dict[str, float], list[int]]:
        trial = classifiers.plan(name, {name: settings.models[name] | values})
        with tempfile.TemporaryDirectory() as scratch:
            here = Path(scratch)
            run = Run(
                name=name,
                train=train.first(count),
                validation=validation,
                mean=facts["train_pixel_mean"],
                std=facts["train_pixel_std"],
                settings=settings,
                curves=here / "curves",
                checkpoints=here / "checkpoints",
            )
            runtime.seed(settings.seed)
            probabilities = trial.train(run).probabilities(validation)
        wrong = (probabilities.argmax(axis=1) != validation.labels).nonzero()[0]
        return scoring.headline(probabilities, validation.labels), wrong.tolist()

    decisive = (settings.seed, settings.augmentation, settings.runtime, settings.tuning.images, plan, facts)
    ranges = settings.tuning.spaces[name]
    images = (train.images[: settings.tuning.images], train.labels[: settings.tuning.images])
    held_out = (validation.images, validation.labels)
    kept = checkpoints.folder(f"tune-{name}", *decisive, ranges, artifact.versions(), *images, *held_out)
    return measure, kept / "trials.json"


def write(path: Path, content: object) -> None:
    """Write `content` as JSON: all of it or, if this is killed, nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps(content, indent=1) + "\n")
    half.replace(path)


def apply(name: str, values: dict[str, float], path: Path = params.FILE) -> None:
    """Write `values` into params.yaml's entry of the model `name`; everything else stays, comments too."""
    yaml = YAML()
    tree = yaml.load(path.read_text(encoding="utf-8"))
    tree["models"][name].update(values)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)


def main() -> None:
    """Search for the model named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.tune", description="Search for better hyperparameters.")
    parser.add_argument("model", help="a name under models in params.yaml")
    parser.add_argument(
        "--confirm", action="store_true", help="compare first and best again, on as many images as train has"
    )
    parser.add_argument("--apply", action="store_true", help="write the best values into params.yaml")
    arguments = parser.parse_args()
    name, settings = arguments.model, params.load()
    looking, facts = search(name, settings), json.loads(arrays.FACTS.read_text())
    measure, kept = measure_on(name, settings, facts)
    trials: list[Trial] = json.loads(kept.read_text()) if kept.exists() else []
    if trials:
        print(f"going on after the {len(trials)} trials in {kept}")
    trials = trials[: settings.tuning.trials]
    while len(trials) < settings.tuning.trials:
        trials.append(looking.next(trials, settings.tuning.images, measure))
        write(kept, trials)
        print(line(trials[-1]), flush=True)

    found, importance = best(trials), looking.importance(trials)
    record = {
        "model": name,
        "kind": settings.models[name]["kind"],
        "data": facts["title"],
        "images": settings.tuning.images,
        "validation": sum(facts["images_per_digit"]["validation"]),
        "seed": settings.seed,
        "ranges": {key: limits.model_dump() for key, limits in looking.ranges.items()},
        "start": without_rows(trials[0]),
        "best": without_rows(found),
        "comparison": compare(trials[0], found),
        "importance": importance,
        "trials": [without_rows(trial) for trial in trials],
    }
    if arguments.confirm:
        record["confirmed"] = confirm(trials[0], found, sum(facts["images_per_digit"]["train"]), measure)
    write(RECORDS / f"{name}.json", record)
    plots.save(plots.search(record), RECORDS / f"{name}.png")
    print(
        f"best: {line(found)}\n{RECORDS}/{name}.json has all trials, {RECORDS}/{name}.png shows them. To take it over:"
    )
    print("  dvc exp run " + " ".join(f"-S models.{name}.{key}={value}" for key, value in found["params"].items()))
    if arguments.apply:
        apply(name, found["params"])
        print(f"params.yaml has these values now. `dvc repro` builds {name} with them.")


def without_rows(trial: Trial) -> Trial:
    """Return `trial` without the rows that it reads wrong."""
    return {key: value for key, value in trial.items() if key != "wrong"}


def line(trial: Trial) -> str:
    """Return what to print of `trial`."""
    values = ", ".join(f"{key}={value}" for key, value in trial["params"].items())
    scores = ", ".join(f"{score['accuracy']:.4f} from {score['images']:,} images" for score in trial["scores"])
    return f"trial {trial['number']}: {trial['state']}: {scores} with {values}"


if __name__ == "__main__":
    runtime.run(main)
