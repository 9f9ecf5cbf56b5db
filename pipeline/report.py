"""Stage `report`: all models side by side; the winner, chosen on validation or in cross-validation as params.yaml says,
goes to models/best.
"""

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import numpy as np

from pipeline import params
from pipeline.artifact import Classifier
from pipeline.errors import InputError
from pipeline.reporting import pages, plots
from pipeline.scoring import uncertainty

EVALUATIONS, CURVES, EXPLORED = Path("plots/evaluation"), Path("plots/training"), Path("plots/explore")
CROSS_VALIDATIONS = Path("metrics/cross_validation")
BEST, REPORTS = Path("models/best"), Path("reports")


def rank(
    evaluations: list[dict[str, Any]],
    cross_validations: Mapping[str, dict[str, float]],
    choose_by: Literal["validation", "cross_validation"],
) -> list[dict[str, Any]]:
    """Return a row per model, best first: by accuracy, then by log loss, of `choose_by`. Test decides nothing."""
    rows = []
    for evaluation in evaluations:
        name, metrics = evaluation["model"]["name"], evaluation["metrics"]
        row = {"model": name, "kind": evaluation["model"]["kind"]}
        for part, scores in (
            ("validation", metrics["validation"]),
            ("cross_validation", cross_validations[name]),
            ("test", metrics["test"]),
        ):
            row |= {f"{part}_{score}": value for score, value in scores.items()}
        rows.append(row | {"bytes": evaluation["model"]["bytes"]})
    return sorted(rows, key=lambda row: (-row[f"{choose_by}_accuracy"], row[f"{choose_by}_log_loss"], row["model"]))


def compare(rows: list[dict[str, Any]], right: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return `rows` with what McNemar's test says of each model and the first, the winner, on the same test images.

    winner_alone_right and alone_right are how many images only the winner and only this model read right;
    mcnemar_p_holm is the p value, corrected for the number of models. All are null for the winner itself.

    Args:
        right: for each model, (n,) whether it read the image right.
    """
    winner, *others = rows
    counts = [uncertainty.discordant(right[winner["model"]], right[row["model"]]) for row in others]
    p_values = uncertainty.corrected([uncertainty.p_value(*count) for count in counts])
    found: list[tuple[Any, ...]] = [(None, None, None)]
    found += [(*count, p) for count, p in zip(counts, p_values, strict=True)]
    return [
        row | dict(zip(("winner_alone_right", "alone_right", "mcnemar_p_holm"), values, strict=True))
        for row, values in zip(rows, found, strict=True)
    ]


def read_right(path: Path) -> np.ndarray:
    """Return which images a model read right, (n,) bool, from its predictions.csv."""
    with path.open(newline="") as file:
        return np.array([row["actual"] == row["predicted"] for row in csv.DictReader(file)])


def crown(winner: dict[str, Any], folder: Path) -> None:
    """Copy the winner's files to `folder`.

    Raises:
        InputError: the model's files are not those that were measured.
    """
    source = Path("models") / winner["name"]
    if Classifier.load(source).card["sha256"] != winner["sha256"]:
        raise InputError(f"{source} is not the model that was measured. Run `dvc repro`.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.onnx", "model.json"):
        shutil.copyfile(source / name, folder / name)


def read_curves(folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Return (steps, accuracies) per split from DVCLive's files in `folder`."""
    series = {}
    for path in sorted((folder / "plots/metrics").glob("*/accuracy.tsv")):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        series[path.parent.name] = ([float(r["step"]) for r in rows], [float(r["accuracy"]) for r in rows])
    return series


def main() -> None:
    """Read plots/ and cross-validation, write the leaderboard, the winner and the report."""
    settings = params.load()
    evaluations = {name: json.loads((EVALUATIONS / name / "evaluation.json").read_text()) for name in settings.models}
    cross_validations = {name: json.loads((CROSS_VALIDATIONS / f"{name}.json").read_text()) for name in evaluations}
    ranked = rank(list(evaluations.values()), cross_validations, settings.report.choose_by)
    rows = compare(ranked, {name: read_right(EVALUATIONS / name / "predictions.csv") for name in evaluations})
    winner = rows[0]["model"]
    crown(evaluations[winner]["model"], BEST)
    board = {"winner": winner, "chosen_by": settings.report.choose_by, "models": rows}
    Path("metrics/leaderboard.json").write_text(json.dumps(board, indent=2) + "\n")

    figures = REPORTS / "figures"
    chart = plots.leaderboard(*([row[k] for row in rows] for k in ("model", "validation_accuracy", "test_accuracy")))
    plots.save(chart, figures / "leaderboard.png")
    for name in ("confusion", "mistakes"):
        shutil.copyfile(EVALUATIONS / winner / f"{name}.png", figures / f"{name}.png")
    shutil.copyfile(EXPLORED / "samples.png", figures / "samples.png")

    curves = {}
    for row in rows:
        name, is_network = row["model"], "epochs" in evaluations[row["model"]]["model"]["training"]
        xlabel = "epoch" if is_network else "training images"
        curves[name] = plots.curves(read_curves(CURVES / name), f"{name}: learning", xlabel)
    content = pages.Content(
        facts=json.loads((EXPLORED / "facts.json").read_text()),
        rows=rows,
        evaluations=[evaluations[row["model"]] for row in rows],
        curves=curves,
        pictures={**_pictures(EXPLORED), "leaderboard": figures / "leaderboard.png"},
        model_pictures={row["model"]: _pictures(EVALUATIONS / row["model"]) for row in rows},
    )
    (REPORTS / "report.md").write_text(pages.markdown(content))
    (REPORTS / "index.html").write_text(pages.html(content))
    print(f"winner: {winner}, test accuracy {rows[0]['test_accuracy']:.4f}. Report: {REPORTS}/index.html")


def _pictures(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.png"))}


if __name__ == "__main__":
    runtime.run(main)
