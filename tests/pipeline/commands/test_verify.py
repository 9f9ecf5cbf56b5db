import json
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.commands import verify
from tests.conftest import ROOT

LEADERBOARD = "results/leaderboard.json"


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # verify.machine reads params.yaml


def project(folder: Path, md5s: dict[str, str], accuracy: float) -> Path:
    """Write a dvc.lock with `md5s` by path, metrics and leaderboard into `folder`."""
    outs = [{"path": path, "md5": md5} for path, md5 in md5s.items()]
    for path, tree in (
        ("metrics/cnn.json", {"test": {"accuracy": accuracy, "errors": 1}}),
        (LEADERBOARD, {"winner": "cnn", "models": [{"model": "cnn", "test_accuracy": accuracy}]}),
    ):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(json.dumps(tree))
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": {"all": {"outs": outs}}}))
    return folder


@pytest.mark.parametrize(
    ("md5s", "accuracy", "verdicts", "code"),
    [
        ({"models/cnn": "1", "metrics/cnn.json": "2"}, 0.99, ["identical bytes", "identical bytes"], 0),
        ({"models/cnn": "1", "metrics/cnn.json": "3"}, 0.991, ["equal within 0.002", "identical bytes"], 0),
        ({"models/cnn": "1", "metrics/cnn.json": "3"}, 0.95, ["different by 0.04", "identical bytes"], 1),
        ({"models/cnn": "9", "metrics/cnn.json": "2"}, 0.99, ["different", "identical bytes"], 1),
        ({"metrics/cnn.json": "2"}, 0.99, ["different", "identical bytes"], 1),
        (
            {"models/cnn": "1", "metrics/cnn.json": "2", "models/new": "5"},
            0.99,
            ["different", *2 * ["identical bytes"]],
            1,
        ),
    ],
)
def test_outputs_are_compared_by_bytes_and_metrics_by_numbers(
    tmp_path: Path, md5s: dict[str, str], accuracy: float, verdicts: list[str], code: int, capsys
) -> None:
    committed = project(tmp_path / "1", {"models/cnn": "1", "metrics/cnn.json": "2"}, 0.99)
    rows = verify.compare(committed, project(tmp_path / "2", md5s, accuracy))
    assert [verdict for _, verdict in rows] == verdicts
    assert verify.report(rows) == code
    printed = capsys.readouterr().out
    assert "models/cnn" in printed
    assert verify.machine()["torch"] in printed


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.991, "equal within 0.002"), (0.95, "different by 0.04")])
def test_the_leaderboard_is_compared_by_numbers(tmp_path: Path, accuracy: float, verdict: str) -> None:
    committed = project(tmp_path / "1", {LEADERBOARD: "1"}, 0.99)
    assert verify.compare(committed, project(tmp_path / "2", {LEADERBOARD: "2"}, accuracy)) == [(LEADERBOARD, verdict)]


def test_other_results_are_compared_by_bytes(tmp_path: Path) -> None:
    committed = project(tmp_path / "1", {"results/data.json": "1"}, 0.99)
    rows = verify.compare(committed, project(tmp_path / "2", {"results/data.json": "2"}, 0.99))
    assert rows == [("results/data.json", "different")]


def test_difference_is_the_largest_of_two_trees() -> None:
    assert verify.difference({"a": [1, 2.5], "b": "x"}, {"a": [1, 2.0], "b": "x"}) == 0.5
    assert verify.difference({"a": 1}, {"b": 1}) == float("inf")
    assert verify.difference({"a": "x"}, {"a": "y"}) == float("inf")
    assert verify.difference([1], [1, 2]) == float("inf")


def test_record_describes_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "REFERENCE", tmp_path / "reference.json")
    monkeypatch.setattr(sys, "argv", ["verify", "--record"])
    assert verify.main() == 0
    found = json.loads((tmp_path / "reference.json").read_text())
    assert found == verify.machine()
    assert found.keys() == json.loads((ROOT / "docs/reference-machine.json").read_text()).keys()
