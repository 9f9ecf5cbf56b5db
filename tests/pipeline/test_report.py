import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits import checksums
from digits.errors import InputError
from pipeline import report
from pipeline.report import compare, copy_winner, rank, read_correct, read_curves


def evaluation(name: str, accuracy: float, log_loss: float, test: float) -> dict[str, Any]:
    return {
        "model": {"name": name, "kind": "svm", "bytes": 1},
        "validation": {"accuracy": accuracy, "log_loss": log_loss},
        "test": {"accuracy": test, "log_loss": 0.1},
    }


EVALUATIONS = [evaluation("a", 0.9, 0.3, 0.99), evaluation("b", 0.9, 0.2, 0.98), evaluation("c", 0.8, 0.4, 0.999)]
CROSS_VALIDATIONS = {
    "a": {"accuracy": 0.7, "log_loss": 1.0},
    "b": {"accuracy": 0.6, "log_loss": 1.0},
    "c": {"accuracy": 0.7, "log_loss": 0.9},
}


@pytest.mark.parametrize(("select_by", "order"), [("validation", "bac"), ("cross_validation", "cab")])
def test_rank_uses_the_selected_accuracy_then_log_loss_and_never_the_test_set(select_by: Any, order: str) -> None:
    rows = rank(EVALUATIONS, CROSS_VALIDATIONS, select_by)
    assert "".join(row["model"] for row in rows) == order
    worse = [evaluation(e["model"]["name"], *e["validation"].values(), 0.1) for e in EVALUATIONS]
    assert [row["model"] for row in rank(worse, CROSS_VALIDATIONS, select_by)] == [row["model"] for row in rows]
    assert rows[0].keys() >= {"validation_accuracy", "cross_validation_accuracy", "test_accuracy", "bytes"}


def test_compare_tests_each_model_against_the_winner_with_holms_correction() -> None:
    correct = {"b": np.array([True] * 19 + [False]), "a": np.array([True] * 10 + [False] * 9 + [True])}
    correct["c"] = correct["b"]
    winner, second, third = compare(rank(EVALUATIONS, CROSS_VALIDATIONS, "validation"), correct)
    assert (winner["only_winner_correct"], winner["only_this_correct"], winner["mcnemar_p_holm"]) == (None, None, None)
    assert (second["only_winner_correct"], second["only_this_correct"]) == (9, 1)
    assert second["mcnemar_p_holm"] == pytest.approx(2 * 2 * (1 + 10) / 2**10, abs=1e-6)  # doubled: two models
    assert (third["only_winner_correct"], third["only_this_correct"], third["mcnemar_p_holm"]) == (0, 0, 1)
    (single,) = compare(rank(EVALUATIONS[:1], CROSS_VALIDATIONS, "validation"), correct)
    assert single["mcnemar_p_holm"] is None


def test_read_correct_compares_predicted_with_actual_classes(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text('actual,predicted\n3,3\n"a, b",1\n"a, b","a, b"\n')
    assert read_correct(tmp_path / "predictions.csv").tolist() == [True, False, True]


def test_read_curves_returns_steps_and_error_rates_per_split(tmp_path: Path) -> None:
    for split, error in (("train", 0.1), ("validation", 0.2)):
        folder = tmp_path / "plots/metrics" / split
        folder.mkdir(parents=True)
        (folder / "error.tsv").write_text(f"step\terror\n1\t{error}\n2\t0.05\n")
        (folder / "loss.tsv").write_text("step\tloss\n1\t9\n")
    assert read_curves(tmp_path) == {"train": ([1, 2], [0.1, 0.05]), "validation": ([1, 2], [0.2, 0.05])}
    assert read_curves(tmp_path / "absent") == {}


def test_copy_winner_copies_only_the_model_that_was_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = Path(report.__file__).parents[1] / "models/best"
    content = (shipped / "model.onnx").read_bytes()
    metadata = json.loads((shipped / "model.json").read_text()) | {"sha256": checksums.sha256(content)}
    monkeypatch.chdir(tmp_path)
    source = Path("models/svm")
    source.mkdir(parents=True)
    (source / "model.onnx").write_bytes(content)
    (source / "model.json").write_text(json.dumps(metadata))

    with pytest.raises(InputError, match="models/svm is not the model that was evaluated"):
        copy_winner({"name": "svm", "sha256": "of another model"}, Path("best"))
    assert not Path("best").exists()

    copy_winner({"name": "svm", "sha256": metadata["sha256"]}, Path("best"))
    for name in ("model.onnx", "model.json"):
        assert (Path("best") / name).read_bytes() == (source / name).read_bytes()


@pytest.mark.parametrize(("digits", "label"), [(True, "digit"), (False, "class")])
def test_slices_are_called_digits_only_where_they_are(
    digits: bool, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "read_curves", lambda folder: {"train": ([1.0], [0.1])})
    part = {"slice": "3", "images": 20, "accuracy": 0.9, "accuracy_low": 0.7, "accuracy_high": 0.97}
    bins = [{"from": 0.9, "to": 1.0, "images": 9, "confidence": 0.98, "accuracy": 0.99}]
    found = {
        "model": {"name": "a", "training": {}},
        "reliability": {"test": bins},
        "slices": {"class": [part], "stroke_width": [part]},
    }
    slices = report.draw(found, digits=digits)["slices"]
    assert [axes.get_ylabel() for axes in slices.axes] == [label, "stroke width"]
