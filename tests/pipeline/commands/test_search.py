"""The search, with an artificial measure whose optimum is known."""

import json
import math
import statistics
from typing import Any

import pytest

from digits.errors import InputError
from pipeline import params
from pipeline.commands import search
from pipeline.commands.search import Search, Trial
from pipeline.params import Params, Range
from tests.conftest import ROOT

SEARCH = Search(
    {"C": Range(low=0.01, high=100.0, log=True), "leaf": Range(low=1, high=9, log=False)}, {"C": 50.0, "leaf": 9}, 42
)


def measure(values: dict[str, Any], images: int) -> tuple[dict[str, float], list[int]]:
    """Return scores that are best at C = 1 and leaf = 4, and better with more images."""
    loss = abs(math.log10(values["C"])) + abs(values["leaf"] - 4) / 9 + 10 / images
    return {"accuracy": round(1 / (1 + loss), 6), "log_loss": round(loss, 6)}, list(range(int(100 * loss)))


def run(count: int, seed: int = 42, finished: list[Trial] | None = None) -> list[Trial]:
    """Return `count` trials, of which some may be finished already."""
    trials, searched = finished or [], Search(SEARCH.ranges, SEARCH.start, seed)
    while len(trials) < count:
        trials.append(searched.next(trials, 1000, measure))
    return trials


def test_the_first_trial_has_the_present_values_and_later_ones_improve() -> None:
    found = run(30)
    assert found[0]["params"] == {"C": 50.0, "leaf": 9}
    complete = [trial for trial in found if trial["state"] == "complete"]
    assert all([score["images"] for score in trial["scores"]] == [250, 1000] for trial in complete)
    losses = [trial["scores"][0]["log_loss"] for trial in found]
    assert sum(losses[-8:]) < 0.6 * sum(losses[1:9]), "no better than random values"
    best = search.best(found)
    assert best["scores"][-1]["accuracy"] == max(trial["scores"][-1]["accuracy"] for trial in complete)
    assert 0.5 < best["params"]["C"] < 2
    importance = SEARCH.importance(found)
    assert set(importance) == {"C", "leaf"}
    assert sum(importance.values()) == pytest.approx(1, abs=1e-5)
    assert SEARCH.importance(found[:5]) == {}


def test_trials_depend_on_the_seed_only() -> None:
    assert run(14) == run(14)
    assert [trial["params"] for trial in run(14)][1:] != [trial["params"] for trial in run(14, seed=7)][1:]


def test_an_interrupted_search_continues_with_the_same_trials() -> None:
    whole = run(16)
    for finished in (1, 8, 12):
        assert run(16, finished=json.loads(json.dumps(whole[:finished]))) == whole


def test_trials_below_the_median_after_a_quarter_are_pruned() -> None:
    found = run(30)
    pruned = [trial for trial in found if trial["state"] == "pruned"]
    assert pruned
    for trial in pruned:
        early = [other["scores"][0]["accuracy"] for other in found[: trial["number"]] if other["state"] == "complete"]
        assert len(trial["scores"]) == 1
        assert trial["scores"][0]["accuracy"] < statistics.median(early)
    late = [trial for trial in found if trial["state"] == "complete" and trial["number"] >= search.RANDOM_TRIALS]
    assert late
    for trial in late:
        early = [other["scores"][0]["accuracy"] for other in found[: trial["number"]] if other["state"] == "complete"]
        assert trial["scores"][0]["accuracy"] >= statistics.median(early)


def test_a_failed_trial_is_recorded_and_the_search_continues() -> None:
    def diverges(values: dict[str, Any], images: int) -> tuple[dict[str, float], list[int]]:
        if values["C"] > 1:
            raise InputError("it diverges")
        return measure(values, images)

    found: list[Trial] = []
    while len(found) < 12:
        found.append(SEARCH.next(found, 1000, diverges))
    assert found[0] | {"error": "it diverges", "state": "failed"} == found[0]
    assert search.best(found)["params"]["C"] <= 1
    with pytest.raises(InputError, match=r"none of 1 trials is complete\. The last one failed: it diverges"):
        search.best(found[:1])


def test_the_log_loss_decides_between_equal_accuracies() -> None:
    scores = ((0.9, 0.2), (0.95, 0.4), (0.95, 0.3))
    trials = [
        {"number": n, "state": "complete", "scores": [{"accuracy": a, "log_loss": b}]}
        for n, (a, b) in enumerate(scores)
    ]
    assert search.best(trials)["number"] == 2


def test_trials_are_compared_by_mcnemars_test() -> None:
    start, found = {"errors": [1, 2, 3, 4, 5, 6, 7]}, {"errors": [7, 8]}
    # six against one: 2 * (7 over 0 + 7 over 1) / 2^7
    assert search.compare(start, found) == {"only_start_wrong": 6, "only_best_wrong": 1, "mcnemar_p": 0.125}
    assert search.compare(found, found)["mcnemar_p"] == 1


def test_confirmation_uses_the_given_number_of_images() -> None:
    start, found = run(9)[0], search.best(run(9))
    confirmed = search.confirm(start, found, 50_000, measure)
    assert confirmed["images"] == 50_000
    assert confirmed["start"] == measure(start["params"], 50_000)[0]
    assert confirmed["best"] == measure(found["params"], 50_000)[0]
    assert confirmed["comparison"]["only_best_wrong"] == 0 < confirmed["comparison"]["only_start_wrong"]


@pytest.mark.parametrize("name", params.load(ROOT / "params.yaml").tuning.spaces)
def test_every_range_in_params_yaml_fits_its_model(name: str, settings: Params) -> None:
    assert Search.from_params(name, settings).start.keys() == settings.tuning.spaces[name].keys()


@pytest.mark.parametrize(
    ("model", "ranges", "message"),
    [
        ("vgg", {}, "models.vgg: no such model"),
        (
            "svm",
            None,
            "tuning.spaces.svm: expected a range for one or more of components, C, gamma, max_images; found none.",
        ),
        (
            "svm",
            {"c": [1.0, 9.0]},
            "tuning.spaces.svm.c: not a number of models.svm. Allowed: components, C, gamma, max_images.",
        ),
        ("svm", {"C": [6.0, 9.0]}, "svm.C: expected a range that contains models.svm.C, which is 5.0; found 6.0 to"),
        ("svm", {"C": [1, 9]}, "svm.C: expected an end with a decimal point, as in models.svm.C: 5.0; found 1 to 9"),
        ("svm", {"C": [0.0, 9.0]}, "models.svm: C: found 0.0 (float). Input should be greater than 0."),
        ("svm", {"components": [9, 999]}, "components: found 999 (int). Input should be less than or equal to 512."),
        ("cnn", {"tta": [0, 1]}, "tta: not a number of models.cnn. Allowed: stem, dropout,"),
    ],
)
def test_the_message_names_the_range_that_does_not_fit(
    settings: Params, model: str, ranges: dict[str, list[float]] | None, message: str
) -> None:
    spaces = dict(settings.tuning.spaces)
    spaces.pop("svm")
    if ranges is not None:
        spaces[model] = {key: Range(low=low, high=high, log=False) for key, (low, high) in ranges.items()}
    tuning = settings.tuning.model_copy(update={"spaces": spaces})
    with pytest.raises(InputError) as caught:
        Search.from_params(model, settings.model_copy(update={"tuning": tuning}))
    assert message in str(caught.value)
