"""Stage `report`: compare all models, select the winner on validation or in cross-validation as params.yaml says, copy
it to models/best, and write report, model card and data card to reports/.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.report")

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from digits.errors import InputError
from digits.model import Classifier
from pipeline import json_file, params
from pipeline.reporting import pages, plots
from pipeline.scoring import uncertainty

RESULTS, EVALUATIONS, CURVES = Path("results"), Path("plots/evaluation"), Path("plots/training")
EXPLORED, LABEL_ERRORS, CORRUPTED = Path("plots/explore"), Path("plots/label_errors"), Path("plots/corrupt/samples.png")
BEST, REPORTS = Path("models/best"), Path("reports")


def rank(
    evaluations: list[dict[str, Any]],
    cross_validations: Mapping[str, dict[str, float]],
    select_by: Literal["validation", "cross_validation"],
) -> list[dict[str, Any]]:
    """Return a row per model, best first: by accuracy, then by log loss, of `select_by`. The test set is not used."""
    rows = []
    for evaluation in evaluations:
        model = evaluation["model"]
        row = {"model": model["name"], "kind": model["kind"]}
        for part, scores in (
            ("validation", evaluation["validation"]),
            ("cross_validation", cross_validations[model["name"]]),
            ("test", evaluation["test"]),
        ):
            row |= {f"{part}_{score}": value for score, value in scores.items()}
        rows.append(row | {"bytes": model["bytes"]})
    return sorted(rows, key=lambda row: (-row[f"{select_by}_accuracy"], row[f"{select_by}_log_loss"], row["model"]))


def compare(rows: list[dict[str, Any]], correct: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return `rows` with McNemar's test of each model against the first, the winner, on the same test images.

    only_winner_correct and only_this_correct count the images that only one of the two predicts correctly;
    mcnemar_p_holm is the p value with Holm's correction. All are null for the winner itself.

    Args:
        correct: for each model, (n,) bool, whether its prediction is correct.
    """
    winner, *others = rows
    counts = [uncertainty.discordant(correct[winner["model"]], correct[row["model"]]) for row in others]
    p_values = uncertainty.corrected([uncertainty.p_value(*count) for count in counts])
    found: list[tuple[Any, ...]] = [(None, None, None)]
    found += [(*count, p) for count, p in zip(counts, p_values, strict=True)]
    return [
        row | dict(zip(("only_winner_correct", "only_this_correct", "mcnemar_p_holm"), values, strict=True))
        for row, values in zip(rows, found, strict=True)
    ]


def read_correct(path: Path) -> np.ndarray:
    """Return (n,) bool, which predictions in a predictions.csv are correct."""
    with path.open(newline="") as file:
        return np.array([row["actual"] == row["predicted"] for row in csv.DictReader(file)])


def copy_winner(winner: dict[str, Any], folder: Path) -> None:
    """Copy the winner's files to `folder`.

    Raises:
        InputError: the files are not those that were evaluated.
    """
    source = Path("models") / winner["name"]
    if Classifier.load(source).metadata["sha256"] != winner["sha256"]:
        raise InputError(f"{source} is not the model that was evaluated. Run `dvc repro`.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.onnx", "model.json"):
        shutil.copyfile(source / name, folder / name)


def read_curves(folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Return (steps, error rates) per split from DVCLive's files in `folder`."""
    series = {}
    for path in sorted((folder / "plots/metrics").glob("*/error.tsv")):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        series[path.parent.name] = ([float(r["step"]) for r in rows], [float(r["error"]) for r in rows])
    return series


def draw(evaluation: dict[str, Any], *, digits: bool) -> dict[str, Figure]:
    """Return the plots of one model that are made from numbers alone."""
    slices = {"digit" if digits and group == "class" else group: rows for group, rows in evaluation["slices"].items()}
    name = evaluation["model"]["name"]
    xlabel = "epoch" if "epochs" in evaluation["model"]["training"] else "training images"
    return {
        "curves": plots.curves(read_curves(CURVES / name), f"{name}: learning curve", xlabel),
        "reliability": plots.reliability(evaluation["reliability"]["test"], f"{name}: reliability diagram"),
        "slices": plots.slices(slices, f"{name}: error rate on slices of the test set"),
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the leaderboard in at most 80 columns."""
    table = Table("model", box=None)
    for column in ("validation", "test", "95% interval", "errors", "log loss", "kB"):
        table.add_column(column, justify="right")
    for row in rows:
        low, high = (f"{100 * row[f'test_accuracy_{end}']:.2f}" for end in ("low", "high"))
        table.add_row(
            row["model"],
            f"{row['validation_accuracy']:.2%}",
            f"{row['test_accuracy']:.2%}",
            f"{low}-{high}",
            str(row["test_errors"]),
            f"{row['test_log_loss']:.4f}",
            f"{row['bytes'] / 1000:,.0f}",
        )
    Console(width=80).print(table)


def main() -> None:
    """Read results/ and plots/, write the leaderboard, models/best and reports/."""
    settings = params.load()
    data = json_file.read(RESULTS / "data.json")
    select_by = settings.report.select_by
    evaluations = {name: json_file.read(RESULTS / f"evaluation/{name}.json") for name in settings.models}
    learning = {name: json_file.read(RESULTS / f"cross_validation/{name}.json")["summary"] for name in evaluations}
    ranked = rank(list(evaluations.values()), {name: rows[-1] for name, rows in learning.items()}, select_by)
    rows = compare(ranked, {name: read_correct(EVALUATIONS / name / "predictions.csv") for name in evaluations})
    names = [row["model"] for row in rows]
    winner = names[0]
    copy_winner(evaluations[winner]["model"], BEST)
    json_file.write(RESULTS / "leaderboard.json", {"winner": winner, "selected_by": select_by, "models": rows})

    together: dict[str, pages.Picture] = {
        "leaderboard": plots.leaderboard(rows),
        "learning_curves": plots.learning_curves({name: learning[name] for name in names}),
        "size": plots.size(names, [1 - row["test_accuracy"] for row in rows], [row["bytes"] / 1000 for row in rows]),
    }
    drawings: dict[str, dict[str, pages.Picture]] = {
        name: {**_pictures(EVALUATIONS / name), **draw(evaluations[name], digits=data["digits"])} for name in names
    }
    kept = together | {name: drawings[winner][name] for name in ("confusion", "errors", "reliability", "slices")}
    for name, picture in (kept | {"samples": EXPLORED / "samples.png"}).items():
        _write_picture(picture, REPORTS / "figures" / f"{name}.png")

    content = pages.Content(
        data=data,
        rows=rows,
        evaluations=[evaluations[name] for name in names],
        robustness={name: json_file.read(RESULTS / f"robustness/{name}.json") for name in names},
        learning={name: learning[name] for name in names},
        cross_validation=settings.cross_validation.model_dump(),
        label_errors=json_file.read(RESULTS / "label_errors.json"),
        selected_by=select_by,
        pictures={**_pictures(EXPLORED), **together, **({"corruptions": CORRUPTED} if data["digits"] else {})},
        drawings=drawings,
        label_error_pictures={**_pictures(LABEL_ERRORS)},
    )
    for file, template in pages.TEMPLATES.items():
        (REPORTS / file).write_text(pages.render(template, content), encoding="utf-8")
    print_table(rows)
    print(f"winner: {winner}, selected by {select_by.replace('_', '-')} accuracy. Report: {REPORTS}/index.html")


def _write_picture(picture: pages.Picture, path: Path) -> None:
    if isinstance(picture, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, path)
    else:
        plots.save(picture, path)


def _pictures(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.png"))}
