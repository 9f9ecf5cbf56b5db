from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import benchmarks
from benchmarks import members, search
from tests.conftest import ROOT

LABELS = np.arange(1000) % 10
CHANGES = ["variant=deskewed", "models.cnn.lr=0.03"]


def networks(count: int, wrong: Sequence[int]) -> np.ndarray:
    """Return logits (count, n, 10) of networks that are all wrong, by a little, about the same images."""
    logits = np.eye(10)[LABELS]
    logits[wrong, LABELS[wrong]] = 0.0
    logits[wrong, LABELS[wrong] - 1] = 0.9
    return np.stack([logits] * count)


def test_mixtures_have_as_many_networks_as_are_asked_for() -> None:
    found = members.mixtures(CHANGES, 5)
    assert {sum(counts.values()) for counts in found.values()} == {5}
    assert found["half with variant=deskewed"] == {"": 3, "variant=deskewed": 2}
    assert found["all kinds in turns"] == {"": 2, "variant=deskewed": 2, "models.cnn.lr=0.03": 1}
    assert len(found) == 6


def test_different_networks_correct_each_other_and_equal_ones_do_not() -> None:
    logits = {"": networks(4, range(100)), "other": networks(4, range(100, 200))}
    rng = np.random.default_rng(0)
    assert members.errors(logits, LABELS, {"": 4}, rng) == pytest.approx(1000)
    assert members.errors(logits, LABELS, {"": 2, "other": 2}, rng) == 0


def test_mixtures_are_compared_on_the_same_split() -> None:
    found = members.summarise({"without changes": [50, 30], "other": [46, 28]})
    assert found["other"] == {"errors": 37, "difference": -3, "standard_error": 1, "splits": 2}
    assert found["without changes"]["difference"] == 0


def test_finished_networks_are_not_trained_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[tuple[str, int, int]] = []

    def predict(name: str, change: str, split: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
        trained.append((change, split, seed))
        return np.exp(networks(1, range(10 * split, 10 * split + 5 + len(change)))[0]), LABELS, 1.0

    def train(command: Sequence[str], *, check: bool) -> object:
        members.main(*command[3:])
        return SimpleNamespace(returncode=0)

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    monkeypatch.setattr(search, "fingerprint", lambda: "code")
    monkeypatch.setattr(search, "predict", predict)
    monkeypatch.setattr(members, "subprocess", SimpleNamespace(run=train))
    words = ["cnn", "-S", "models.cnn.lr=0.03", "--splits", "2", "--members", "2", "--keep", str(tmp_path)]
    members.main(*words)
    assert len(trained) == len(set(trained)) == 8
    members.main(*words)
    assert len(trained) == 8
    found = benchmarks.read("members")["2 cnn"]
    assert found["without changes"]["errors"] == 50
    assert found["all with models.cnn.lr=0.03"]["difference"] == 10 * len("models.cnn.lr=0.03")
    assert found["one network, without changes"]["errors"] == 50
    assert "half with models.cnn.lr=0.03" in capsys.readouterr().out
    members.main(*words, "--baseline", "models.cnn.epochs=4")
    assert {change for change, _, _ in trained[8:]} == {"models.cnn.epochs=4", "models.cnn.epochs=4 models.cnn.lr=0.03"}
    assert "2 cnn models.cnn.epochs=4" in benchmarks.read("members")
