import numpy as np
import pytest

from pipeline.report import compare, rank, read_right


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
