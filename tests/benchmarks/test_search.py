import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchmarks
from benchmarks import search
from digits.errors import InputError
from tests.conftest import ROOT

PAIRS = 20


def verdicts(gain: float, repeats: int) -> list[str]:
    """Return the verdicts on changes with this gain, in errors, of which pairs differ by 6 more or less."""
    rng, found = np.random.default_rng(0), []
    for _ in range(repeats):
        errors = rng.normal(-gain, 6, PAIRS)
        for count in range(PAIRS // search.LOOKS, PAIRS + 1, PAIRS // search.LOOKS):
            verdict = search.difference(list(errors[:count]), PAIRS, margin=1.0).verdict
            if verdict != "open":
                break
        found.append(verdict)
    return found


def test_a_change_without_effect_is_seldom_found_better() -> None:
    found = verdicts(0.0, 2000)
    assert found.count("better") / len(found) < 0.035  # 2.5% on this side
    assert found.count("given up") / len(found) > 0.1


def test_a_large_gain_is_found_and_a_harm_given_up() -> None:
    assert verdicts(8.0, 200).count("better") > 190
    assert verdicts(-8.0, 200).count("given up") > 190


def test_the_interval_is_that_of_one_analysis() -> None:
    errors = [float(value) for value in np.random.default_rng(1).normal(0, 6, 400)]
    found = search.difference(errors, 400, margin=100)
    assert found.verdict == "not better"
    assert found.high - found.mean == pytest.approx(1.966 * statistics.stdev(errors) / 20, rel=0.001)


def test_the_interval_of_a_change_that_is_given_up_is_two_sided() -> None:
    errors = [5.0, 6.0, 7.0, 8.0]
    found = search.difference(errors, 20, margin=1)
    assert found.verdict == "given up"
    assert found.high - found.mean == pytest.approx(3.182 * statistics.stdev(errors) / 2, rel=0.001)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, int]:
    """Let trainings be quick, with fewer errors the larger the learning rate, and count them by change."""
    counts: dict[str, int] = {}

    def trained(name: str, overrides: str, seed: int) -> dict[str, Any]:
        counts[overrides] = counts.get(overrides, 0) + 1
        gains = {"models.cnn.lr=0.03": 9, "models.cnn.lr=0.04": -9}
        errors = 40 + seed % 3 - sum(gains.get(word, 0) for word in overrides.split())
        return {"errors": errors + counts[overrides] % 2, "log_loss": 0.01 * errors, "seconds": 1.0}

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    monkeypatch.setattr(search, "in_process", trained)
    monkeypatch.setattr(search, "fingerprint", lambda: "code")
    return counts


def test_changes_are_trained_until_there_is_a_verdict_and_never_twice(stored: dict[str, int]) -> None:
    good, bad = "models.cnn.lr=0.03", "models.cnn.lr=0.04"
    options = ("cnn", "--pairs", "20", "-S", good, "-S", bad)
    search.main(*options)
    found = benchmarks.read("pairs")["changes"]["cnn"]
    assert found[good]["verdict"] == "better"
    assert found[good]["mean"] == pytest.approx(-9, abs=1)
    assert found[bad]["verdict"] == "given up"
    assert stored[bad] == 4  # one look
    before = dict(stored)
    search.main(*options)
    assert stored == before
    assert benchmarks.read("pairs")["changes"]["cnn"] == found


def test_trainings_with_other_code_do_not_count(stored: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    search.main("cnn", "--pairs", "20", "-S", "models.cnn.lr=0.03")
    before = dict(stored)
    monkeypatch.setattr(search, "fingerprint", lambda: "other")
    search.main("cnn", "--pairs", "20", "-S", "models.cnn.lr=0.03")
    assert stored == {name: 2 * count for name, count in before.items()}


def test_a_baseline_is_part_of_all_trainings(stored: dict[str, int]) -> None:
    baseline, change = "models.cnn.epochs=4", "models.cnn.lr=0.03"
    search.main("cnn", "--pairs", "20", "--baseline", baseline, "-S", change)
    assert stored.keys() == {baseline, f"{baseline} {change}"}
    assert benchmarks.read("pairs")["changes"][f"cnn {baseline}"][change]["mean"] == pytest.approx(-9, abs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-S", "models.lenet.lr=0.03"], "changes nothing for cnn"),
        (["-S", "models.cnn.lr=-1"], "lr"),
        (["-S", "models.cnn.learning=1"], "learning"),
        (["-S", "variant=luck"], "Allowed: precise_batch_norm"),
        (["-S", "models.cnn.lr=0.03", "--pairs", "3"], "at least 20"),
    ],
)
def test_wrong_options_are_errors(stored: dict[str, int], options: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        search.main("cnn", *options)
    assert not stored


def test_errors_are_counted_on_held_out_images(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(search, "HELD_OUT", 400)
    first, again, other = (search.train("svm", f"models.svm.C={c}", 1) for c in (1.0, 1.0, 0.001))
    assert first["errors"] == again["errors"] < other["errors"]
    assert 0 < first["errors"] < 100
    assert search.train("svm", "models.svm.C=1.0", 2)["log_loss"] != first["log_loss"]


def test_variants_count_as_changes_and_are_applied(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(search, "HELD_OUT", 400)
    assert search.setting("cnn", "variant=nine_views") != search.setting("cnn", "")
    five, nine = (search.train("cnn", change, 1) for change in ("", "variant=nine_views"))
    assert five["log_loss"] != nine["log_loss"]


def test_the_fingerprint_depends_on_the_images(own_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own_project)
    before = search.fingerprint()
    assert before == search.fingerprint()
    Path("data/prepared/train/SHA256SUMS").unlink()
    Path("data/prepared/train/SHA256SUMS").write_text("other")
    assert search.fingerprint() != before
