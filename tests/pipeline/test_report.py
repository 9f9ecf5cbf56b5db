import json

import numpy as np
import pytest

from pipeline import report
from pipeline.report import compare, rank, read_costs, read_right, read_robustness


def evaluation(name: str, accuracy: float, log_loss: float, test: float) -> dict:
    return {
        "model": {"name": name, "kind": "svm", "bytes": 1},
        "metrics": {"validation": {"accuracy": accuracy, "log_loss": log_loss}, "test": {"accuracy": test}},
    }


EVALUATIONS = [evaluation("a", 0.9, 0.3, 0.99), evaluation("b", 0.9, 0.2, 0.98), evaluation("c", 0.8, 0.4, 0.999)]
CROSS = {
    "a": {"accuracy": 0.7, "log_loss": 1.0},
    "b": {"accuracy": 0.6, "log_loss": 1.0},
    "c": {"accuracy": 0.7, "log_loss": 0.9},
}


@pytest.mark.parametrize(("choose_by", "order"), [("validation", "bac"), ("cross_validation", "cab")])
def test_rank_goes_by_what_params_say_and_never_by_test(choose_by: str, order: str) -> None:
    rows = rank(EVALUATIONS, CROSS, choose_by)
    assert "".join(row["model"] for row in rows) == order
    worse = [evaluation(e["model"]["name"], *e["metrics"]["validation"].values(), 0.1) for e in EVALUATIONS]
    assert [row["model"] for row in rank(worse, CROSS, choose_by)] == [row["model"] for row in rows]
    assert rows[0].keys() >= {"validation_accuracy", "cross_validation_accuracy", "test_accuracy", "bytes"}


def test_models_are_compared_with_the_winner() -> None:
    right = {"b": np.array([True] * 19 + [False]), "a": np.array([True] * 10 + [False] * 9 + [True])}
    right["c"] = right["b"]
    winner, second, third = compare(rank(EVALUATIONS, CROSS, "validation"), right)
    assert (winner["winner_alone_right"], winner["mcnemar_p_holm"]) == (None, None)
    assert (second["winner_alone_right"], second["alone_right"]) == (9, 1)
    assert second["mcnemar_p_holm"] == pytest.approx(2 * 2 * (1 + 10) / 2**10, abs=1e-6)  # twice: two models
    assert (third["winner_alone_right"], third["alone_right"], third["mcnemar_p_holm"]) == (0, 0, 1)
    (alone,) = compare(rank(EVALUATIONS[:1], CROSS, "validation"), right)
    assert alone["mcnemar_p_holm"] is None


def test_reads_who_was_right(tmp_path) -> None:
    (tmp_path / "predictions.csv").write_text("actual,predicted\n3,3\n7,1\n")
    assert read_right(tmp_path / "predictions.csv").tolist() == [True, False]


def test_costs_are_those_of_the_very_files_or_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(report, "BENCHMARKS", tmp_path)
    timed = {"svm": {"sha256": "abc", "milliseconds_p50": 0.3}}
    (tmp_path / "inference.json").write_text(json.dumps({"machine": {"cpu": "one"}, "results": timed}))
    stages = {"stages": {"train@svm": {"seconds": 9.0}}}
    (tmp_path / "stages.json").write_text(json.dumps({"results": stages}))
    costs, machine = read_costs([{"name": "svm", "sha256": "abc"}])
    assert costs == {"ms for one image": {"svm": 0.3}, "s to train": {"svm": 9.0}}
    assert machine == {"cpu": "one"}
    assert read_costs([{"name": "svm", "sha256": "another file"}]) == ({}, {})
    assert read_costs([{"name": "svm", "sha256": "abc"}, {"name": "new", "sha256": "abc"}]) == ({}, {})


def test_robustness_by_corruption_and_severity_or_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_robustness(["svm"]) == {}
    for folder in (report.ROBUSTNESS, report.SPOILT):
        folder.mkdir(parents=True)
    (report.ROBUSTNESS / "svm.json").write_text('{"clean": 0.9}')
    cells = [{"corruption": c, "severity": s, "accuracy": a} for c, s, a in (("fog", 1, 0.9), ("fog", 2, 0.5))]
    (report.SPOILT / "svm.json").write_text(json.dumps(cells))
    found = read_robustness(["svm"])["svm"]
    assert (found.summary, found.corruptions) == ({"clean": 0.9}, {"fog": [0.9, 0.5]})
