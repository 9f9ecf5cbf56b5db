"""The search for hyperparameters of `pipeline.commands.tune`: which values to try next, and which were best.

A tree-structured Parzen estimator proposes values after some random trials: Bergstra et al., Algorithms for
Hyper-Parameter Optimization (2011), as implemented by Optuna. Every trial is a function of the finished trials and the
seed, so that an interrupted search continues with the trials of an uninterrupted one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from digits.errors import InputError
from pipeline.classifiers import model_config
from pipeline.params import Params, Range
from pipeline.scoring.rounding import rounded
from pipeline.scoring.uncertainty import p_value

FRACTIONS = (1 / 4, 1)  # of the images; a trial may be pruned after the first
RANDOM_TRIALS = 8  # before the estimator proposes values
SIGNIFICANT_DIGITS = 3  # of a proposed value
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.PRUNED}

# number, params, state, scores (one per fraction of the images), errors (rows of the validation images), and error if
# the state is failed
Trial = dict[str, Any]
# (hyperparameters, number of images) -> (scores on the validation images, rows of the errors there)
Measure = Callable[[dict[str, Any], int], tuple[dict[str, float], list[int]]]


@dataclass(frozen=True)
class Search:
    """A search over hyperparameters.

    Attributes:
        ranges: by hyperparameter.
        start: the values of the first trial.
        seed: of the random numbers.
    """

    ranges: dict[str, Range]
    start: dict[str, float]
    seed: int

    @classmethod
    def from_params(cls, name: str, settings: Params) -> "Search":
        """Return the search for the model `name` that params.yaml describes under `tuning`.

        Raises:
            InputError: no such model, no ranges for it, or ranges that do not fit its hyperparameters.
        """
        values = model_config(name, settings).hyperparameters
        numbers = {key: v for key, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        where = f"params.yaml: tuning.spaces.{name}"
        ranges = settings.tuning.spaces.get(name)
        if not ranges:
            raise InputError(f"{where}: expected a range for one or more of {', '.join(numbers)}; found none.")
        for key, limits in ranges.items():
            if key not in numbers:
                raise InputError(f"{where}.{key}: not a number of models.{name}. Allowed: {', '.join(numbers)}.")
            _check_range(limits, numbers[key], f"{where}.{key}", f"models.{name}.{key}")
            for end in (limits.low, limits.high):
                model_config(name, settings.with_model(name, {key: end}))
        return cls(ranges, {key: numbers[key] for key in ranges}, settings.seed)

    def next(self, trials: list[Trial], images: int, measure: Measure, number: int | None = None) -> Trial:
        """Run and return a trial that follows `trials`.

        Args:
            images: the number of images of a complete trial.
            measure: fits and scores a model; raises InputError if that fails.
            number: of this trial, which seeds it; by default that of the one directly after `trials`.
        """
        number = len(trials) if number is None else number
        asked = self.study(trials, number).ask(self._distributions())
        values = {key: self._rounded(key, asked.params[key]) for key in self.ranges} if number else self.start
        trial: Trial = {"number": number, "params": values, "state": "complete", "scores": [], "errors": []}
        for fraction in FRACTIONS:
            count = int(images * fraction)
            try:
                scores, trial["errors"] = measure(values, count)
            except InputError as error:
                return trial | {"state": "failed", "error": str(error)}
            trial["scores"].append({"images": count, **scores})
            asked.report(scores["accuracy"], count)
            if fraction < 1 and asked.should_prune():
                return trial | {"state": "pruned"}
        return trial

    def study(self, trials: list[Trial], number: int = 0) -> optuna.Study:
        """Return Optuna's study with `trials` added, to ask for the values of the trial `number`."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=self.seed + number, n_startup_trials=RANDOM_TRIALS),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS // 2),
        )
        for trial in trials:
            finished = optuna.trial.create_trial(
                params=trial["params"],
                distributions=self._distributions(),
                state=STATES[trial["state"]],
                value=trial["scores"][-1]["accuracy"] if trial["state"] == "complete" else None,
                intermediate_values={score["images"]: score["accuracy"] for score in trial["scores"]},
            )
            study.add_trial(finished)
        return study

    def importance(self, trials: list[Trial]) -> dict[str, float]:
        """Return the share of the variance of validation accuracy that each hyperparameter explains (fANOVA), largest
        first; empty if fewer than RANDOM_TRIALS are complete.
        """
        if sum(trial["state"] == "complete" for trial in trials) < RANDOM_TRIALS:
            return {}
        shares = get_param_importances(
            self.study(trials, len(trials)), evaluator=FanovaImportanceEvaluator(seed=self.seed)
        )
        return {key: rounded(share) for key, share in shares.items()}

    def _distributions(self) -> dict[str, BaseDistribution]:
        return {key: _distribution(limits) for key, limits in self.ranges.items()}

    def _rounded(self, key: str, value: float) -> float:
        if isinstance(value, int):
            return value
        limits = self.ranges[key]
        return min(max(float(f"{value:.{SIGNIFICANT_DIGITS}g}"), limits.low), limits.high)


def _check_range(limits: Range, value: float, where: str, key: str) -> None:
    """Check that `limits`, found at `where`, fit the present `value` of the hyperparameter `key`."""
    if isinstance(value, float) and isinstance(limits.low, int) and isinstance(limits.high, int):
        raise InputError(
            f"{where}: expected an end with a decimal point, as in {key}: {value}; found {limits.low} to "
            f"{limits.high}, a range of integers."
        )
    if not limits.low <= value <= limits.high:
        raise InputError(
            f"{where}: expected a range that contains {key}, which is {value}; found {limits.low} to {limits.high}."
        )


def _distribution(limits: Range) -> BaseDistribution:
    if isinstance(limits.low, int) and isinstance(limits.high, int):
        return IntDistribution(limits.low, limits.high, log=limits.log)
    return FloatDistribution(limits.low, limits.high, log=limits.log)


def best(trials: list[Trial]) -> Trial:
    """Return the complete trial with the largest validation accuracy; if several have it, the one of these with the
    smallest log loss.

    Raises:
        InputError: no trial is complete.
    """
    complete = [trial for trial in trials if trial["state"] == "complete"]
    if not complete:
        raise InputError(f"none of {len(trials)} trials is complete. The last one failed: {trials[-1].get('error')}")
    return max(complete, key=lambda trial: (trial["scores"][-1]["accuracy"], -trial["scores"][-1]["log_loss"]))


def compare(start: Trial, found: Trial) -> dict[str, float]:
    """Return the number of validation images that only `start` and only `found` predicts wrong, and the p value of
    McNemar's exact test.
    """
    only_start, only_found = (len(set(a["errors"]) - set(b["errors"])) for a, b in ((start, found), (found, start)))
    return {
        "only_start_wrong": only_start,
        "only_best_wrong": only_found,
        "mcnemar_p": rounded(p_value(only_start, only_found)),
    }


def confirm(start: Trial, found: Trial, images: int, measure: Measure) -> dict[str, Any]:
    """Return scores and comparison of `start` and `found`, fitted anew to another number of `images`: the best values
    for few images need not be the best for many.
    """
    again = []
    for trial in (start, found):
        scores, errors = measure(trial["params"], images)
        again.append({"scores": scores, "errors": errors})
    return {
        "images": images,
        "start": again[0]["scores"],
        "best": again[1]["scores"],
        "comparison": compare(*again),
    }
