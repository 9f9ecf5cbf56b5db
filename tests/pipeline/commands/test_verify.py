import json
import re
from pathlib import Path

import pytest
import yaml

from pipeline.commands import verify
from pipeline.fingerprints import records
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


def test_a_record_names_processor_commit_and_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("models/cnn", "different"), ("metrics/cnn.json", "equal within 0.002"), ("data", verify.IDENTICAL)]
    processor = {"emulator": None, "model_name": "AMD EPYC", "family": 26, "model": 2}
    path = verify.record(rows, processor, "0123456789", tmp_path)
    assert path.name == "amd-epyc-family-26-model-2.json"
    found = verify.recorded(tmp_path)["amd-epyc-family-26-model-2"]
    assert found["processor"] == processor
    assert (found["commit"], found["outputs"], found["identical"]) == ("0123456789", 3, 1)
    assert found["different"] == {"models/cnn": "different", "metrics/cnn.json": "equal within 0.002"}
    assert found["versions"]["torch"] == verify.machine()["torch"]


def test_recorded_results_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(verify, "VERIFIED", tmp_path)
    rows = [("data", verify.IDENTICAL)]
    processor = {"emulator": "QEMU 7", "model_name": "Haswell", "family": None, "model": None}
    verify.record(rows, processor, "0123456789", tmp_path)
    assert verify.report(rows) == 0
    printed = capsys.readouterr().out
    assert re.search(r"qemu-7-haswell +│ 1 of 1 at commit 0123456 ", printed)
    assert "1 of 1 outputs are as committed." in printed


def test_committed_records_are_named_after_their_processor() -> None:
    for name, found in verify.recorded(ROOT / verify.VERIFIED).items():
        assert records.file_name(found["processor"]) == name
        assert found["identical"] + len(found["different"]) == found["outputs"]
