import json
from pathlib import Path

import pytest
import yaml

from pipeline import verify


def project(folder: Path, md5s: dict[str, str], accuracy: float) -> Path:
    folder.mkdir()
    outs = [{"path": path, "md5": md5} for path, md5 in md5s.items()]
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": {"all": {"outs": outs}}}))
    (folder / "metrics").mkdir()
    (folder / "metrics/cnn.json").write_text(json.dumps({"test": {"accuracy": accuracy, "errors": 1}}))
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
def test_compares_bytes_and_metrics(
    tmp_path: Path, md5s: dict[str, str], accuracy: float, verdicts: list[str], code: int, capsys
) -> None:
    committed = project(tmp_path / "1", {"models/cnn": "1", "metrics/cnn.json": "2"}, 0.99)
    rows = verify.compare(committed, project(tmp_path / "2", md5s, accuracy))
    assert [verdict for _, verdict in rows] == verdicts
    assert verify.report(rows) == code
    printed = capsys.readouterr().out
    assert "models/cnn" in printed
    assert verify.machine()["torch"] in printed


def test_difference_of_trees() -> None:
    assert verify.difference({"a": [1, 2.5], "b": "x"}, {"a": [1, 2.0], "b": "x"}) == 0.5
    assert verify.difference({"a": 1}, {"b": 1}) == float("inf")
    assert verify.difference({"a": "x"}, {"a": "y"}) == float("inf")
    assert verify.difference([1], [1, 2]) == float("inf")
