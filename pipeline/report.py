"""Stage `report`: all models side by side; the winner, chosen on validation, goes to models/best."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
from pipeline import params
from pipeline.artifact import Classifier
from pipeline.errors import InputError
from pipeline.reporting import pages, plots

EVALUATIONS, CURVES, EXPLORED = Path("plots/evaluation"), Path("plots/training"), Path("plots/explore")
BEST, REPORTS = Path("models/best"), Path("reports")


def rank(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per model, best first: by validation accuracy, then by validation log loss. Test decides nothing."""
    rows = [
        {
            "model": evaluation["model"]["name"],
            "kind": evaluation["model"]["kind"],
            "validation_accuracy": evaluation["metrics"]["validation"]["accuracy"],
            "validation_log_loss": evaluation["metrics"]["validation"]["log_loss"],
            **{f"test_{name}": value for name, value in evaluation["metrics"]["test"].items()},
            "bytes": evaluation["model"]["bytes"],
        }
        for evaluation in evaluations
    ]
    return sorted(rows, key=lambda row: (-row["validation_accuracy"], row["validation_log_loss"], row["model"]))


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
    """Read plots/, write the leaderboard, the winner and the report."""
    evaluations = {
        name: json.loads((EVALUATIONS / name / "evaluation.json").read_text()) for name in params.load().models
    }
    rows = rank(list(evaluations.values()))
    winner = rows[0]["model"]
    crown(evaluations[winner]["model"], BEST)
    Path("metrics/leaderboard.json").write_text(json.dumps({"winner": winner, "models": rows}, indent=2) + "\n")

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
    print(f"winner on validation: {winner}, test accuracy {rows[0]['test_accuracy']:.4f}. Report: {REPORTS}/index.html")


def _pictures(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.png"))}


if __name__ == "__main__":
    runtime.run(main)
