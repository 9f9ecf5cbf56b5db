"""The search, on a made-up measure whose best is known; and the command, on a few digits."""

import json
import math
import re
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import classifiers, params, tune
from pipeline.datasets.arrays import LabelledImages
from digits.errors import InputError
from pipeline.params import Range
from tests.conftest import ROOT, set_params

SETTINGS = params.load(ROOT / "params.yaml")
SEARCH = tune.Search(
    {"C": Range(low=0.01, high=100.0, log=True), "leaf": Range(low=1, high=9, log=False)}, {"C": 50.0, "leaf": 9}, 42
)
DOCUMENTED = re.findall(r"-S '?models\.(\w+)\.(\w+)=([^' ]+)", (ROOT / "docs/tuning.md").read_text())


def measure(values: dict[str, Any], images: int) -> tuple[dict[str, float], list[int]]:
    """Return scores that are best at C = 1 and leaf = 4, and better from more images."""
    loss = abs(math.log10(values["C"])) + abs(values["leaf"] - 4) / 9 + 10 / images
    return {"accuracy": round(1 / (1 + loss), 6), "log_loss": round(loss, 6)}, list(range(int(100 * loss)))


def trials(count: int, seed: int = 42) -> list[tune.Trial]:
    return go_on([], count, seed)


def go_on(made: list[tune.Trial], count: int, seed: int = 42) -> list[tune.Trial]:
    search = tune.Search(SEARCH.ranges, SEARCH.start, seed)
    while len(made) < count:
        made.append(search.next(made, 1000, measure))
    return made


def test_begins_with_the_present_values_and_learns() -> None:
    found = trials(30)
    assert found[0]["params"] == {"C": 50.0, "leaf": 9}
    complete = [trial for trial in found if trial["state"] == "complete"]
    assert all([score["images"] for score in trial["scores"]] == [250, 1000] for trial in complete)
    losses = [trial["scores"][0]["log_loss"] for trial in found]
    assert sum(losses[-8:]) < 0.6 * sum(losses[1:9]), "no better than at random"
    best = tune.best(found)
    assert best["scores"][-1]["accuracy"] == max(trial["scores"][-1]["accuracy"] for trial in complete)
    assert 0.5 < best["params"]["C"] < 2
    importance = SEARCH.importance(found)
    assert set(importance) == {"C", "leaf"}
    assert sum(importance.values()) == pytest.approx(1, abs=1e-5)


def test_same_seed_same_trials_another_seed_others() -> None:
    assert trials(14) == trials(14)
    assert [trial["params"] for trial in trials(14)][1:] != [trial["params"] for trial in trials(14, seed=7)][1:]


def test_goes_on_after_a_kill_as_if_nothing_had_been() -> None:
    whole = trials(16)
    for killed_after in (1, 8, 12):
        assert go_on(json.loads(json.dumps(whole[:killed_after])), 16) == whole


def test_prunes_what_is_worse_than_the_median_after_a_quarter() -> None:
    found = trials(30)
    pruned = [trial for trial in found if trial["state"] == "pruned"]
    assert pruned
    for trial in pruned:
        early = [other["scores"][0]["accuracy"] for other in found[: trial["number"]] if other["state"] == "complete"]
        assert len(trial["scores"]) == 1
        assert trial["scores"][0]["accuracy"] < statistics.median(early)
    late = [trial for trial in found if trial["state"] == "complete" and trial["number"] >= tune.AT_RANDOM]
    assert late
    for trial in late:
        early = [other["scores"][0]["accuracy"] for other in found[: trial["number"]] if other["state"] == "complete"]
        assert trial["scores"][0]["accuracy"] >= statistics.median(early)


def test_a_failed_trial_is_written_down_and_not_the_end() -> None:
    def diverges(values: dict[str, Any], images: int) -> tuple[dict[str, float], list[int]]:
        if values["C"] > 1:
            raise InputError("it diverges")
        return measure(values, images)

    found: list[tune.Trial] = []
    while len(found) < 12:
        found.append(SEARCH.next(found, 1000, diverges))
    assert found[0] | {"why": "it diverges", "state": "failed"} == found[0]
    assert tune.best(found)["params"]["C"] <= 1
    with pytest.raises(InputError, match=r"no trial of 1 came to its end\. Of the last one: it diverges"):
        tune.best(found[:1])


def test_of_equal_accuracies_the_smaller_log_loss_is_best() -> None:
    scores = ((0.9, 0.5), (0.95, 0.4), (0.95, 0.3))
    equal = [
        {"number": n, "state": "complete", "scores": [{"accuracy": a, "log_loss": b}]}
        for n, (a, b) in enumerate(scores)
    ]
    assert tune.best(equal)["number"] == 2


def test_mcnemar() -> None:
    start, found = {"wrong": [1, 2, 3, 4, 5, 6, 7]}, {"wrong": [7, 8]}
    # six against one: 2 * (7 over 0 + 7 over 1) / 2^7
    assert tune.compare(start, found) == {"only_start_wrong": 6, "only_best_wrong": 1, "mcnemar_p": 0.125}
    assert tune.compare(found, found)["mcnemar_p"] == 1


def test_confirms_with_as_many_images_as_it_is_told() -> None:
    start, found = trials(9)[0], tune.best(trials(9))
    confirmed = tune.confirm(start, found, 50_000, measure)
    assert confirmed["images"] == 50_000
    assert confirmed["start"] == measure(start["params"], 50_000)[0]
    assert confirmed["best"] == measure(found["params"], 50_000)[0]
    assert confirmed["comparison"]["only_best_wrong"] == 0 < confirmed["comparison"]["only_start_wrong"]


@pytest.mark.parametrize("name", SETTINGS.tuning.spaces)
def test_every_range_of_params_yaml_fits_its_model(name: str) -> None:
    assert tune.search(name, SETTINGS).start.keys() == SETTINGS.tuning.spaces[name].keys()


@pytest.mark.parametrize(
    ("model", "ranges", "message"),
    [
        ("vgg", {}, "models.vgg: no such model"),
        ("svm", None, "tuning.spaces.svm: expected a range for one or more of components, C, gamma; found none."),
        ("svm", {"c": [1.0, 9.0]}, "tuning.spaces.svm: c: not a number of models.svm. Allowed: components, C, gamma."),
        ("svm", {"C": [6.0, 9.0]}, "svm.C: expected a range around models.svm.C, which is 5.0; found 6.0 to 9.0."),
        ("svm", {"C": [1, 9]}, "svm.C: expected an end with a decimal point, as in models.svm.C: 5.0; found 1 to 9"),
        ("svm", {"C": [0.0, 9.0]}, "models.svm: C: found 0.0 (float). Input should be greater than 0."),
        ("svm", {"components": [9, 999]}, "components: found 999 (int). Input should be less than or equal to 512."),
        ("cnn", {"augment": [0, 1]}, "augment: not a number of models.cnn. Allowed: stem, dropout,"),
    ],
)
def test_says_which_range_does_not_fit(model: str, ranges: dict[str, list[float]] | None, message: str) -> None:
    spaces = dict(SETTINGS.tuning.spaces)
    spaces.pop("svm")
    if ranges is not None:
        spaces[model] = {key: Range(low=low, high=high, log=False) for key, (low, high) in ranges.items()}
    tuning = SETTINGS.tuning.model_copy(update={"spaces": spaces})
    with pytest.raises(InputError) as caught:
        tune.search(model, SETTINGS.model_copy(update={"tuning": tuning}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("C: {low: 0.001", "C: {lwo: 0.001", "tuning.spaces.logreg.C.lwo: unknown key. Did you mean 'low'?"),
        ("C: {low: 0.001", "C: {low: 20.0", "tuning.spaces.logreg.C: found {'low': 20.0"),
        ("C: {low: 0.001", "C: {low: 0", "Expected low < high, both above 0."),
        ("C: {low: 0.001", "C: {low: small", "tuning.spaces.logreg.C.low"),
        ("  trials: ", "  trails: ", "tuning.trails: unknown key. Did you mean 'trials'?"),
    ],
)
def test_the_section_is_read_strictly(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (ROOT / "params.yaml").read_text()
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new))
    with pytest.raises(InputError) as caught:
        params.load(tmp_path / "params.yaml")
    assert message in str(caught.value)


def test_apply_changes_these_values_and_nothing_else(tmp_path: Path) -> None:
    before = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(before)
    tune.apply("svm", {"C": 123.0, "components": 61}, tmp_path / "params.yaml")
    after = (tmp_path / "params.yaml").read_text()
    changed = [(a, b) for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]
    assert [b for _, b in changed] == ["    components: 61", "    C: 123.0"]


@pytest.mark.parametrize(("model", "key", "values"), DOCUMENTED)
def test_every_documented_change_exists_and_is_allowed(model: str, key: str, values: str) -> None:
    assert key in classifiers.plan(model, SETTINGS.models).hyperparameters
    for value in values.split(","):
        classifiers.plan(model, {model: SETTINGS.models[model] | {key: yaml.safe_load(value)}})


def test_a_sweep_is_documented_for_every_model() -> None:
    assert {model for model, _, _ in DOCUMENTED} == set(SETTINGS.models)


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], digits: LabelledImages
) -> None:
    """Two trials, then two more: the same record as four at once; with --apply, the values stand in params.yaml."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    data, record = Path("data/prepared"), Path("docs/tuning/random_forest.json")
    digits.first(400).save(data / "train")
    LabelledImages(digits.images[1000:1200], digits.labels[1000:1200]).save(data / "validation")
    facts = {"title": "few", "images_per_digit": {"train": [40] * 10, "validation": [20] * 10}}
    (data / "facts.json").write_text(json.dumps(facts | {"train_pixel_mean": 0.13, "train_pixel_std": 0.3}))
    quick = {"models.random_forest.features": "pixels", "models.random_forest.n_estimators": "3"}
    set_params(tmp_path, {"tuning.images": "400"} | quick)

    def run(count: int, *options: str) -> str:
        set_params(tmp_path, {"tuning.trials": str(count)})
        monkeypatch.setattr(sys, "argv", ["tune", "random_forest", *options])
        tune.main()
        return capsys.readouterr().out

    run(2)
    assert "going on after the 2 trials" in run(4)
    first = record.read_bytes()
    shutil.rmtree(".dvc")
    output = run(4, "--apply", "--confirm")
    assert "going on" not in output
    again = json.loads(record.read_text())
    assert again.pop("confirmed")["images"] == 400
    assert again == json.loads(first)
    best = json.loads(first)["best"]["params"]
    assert f"dvc exp run -S models.random_forest.max_features={best['max_features']} -S" in output
    assert params.load().models["random_forest"].items() >= best.items()
    assert record.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
