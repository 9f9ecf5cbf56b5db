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
from matplotlib.figure import Figure

from pipeline import params
from pipeline.artifact import Classifier
from pipeline.errors import InputError
from pipeline.reporting import pages, plots
from pipeline.scoring import uncertainty

EVALUATIONS, CURVES, EXPLORED = Path("plots/evaluation"), Path("plots/training"), Path("plots/explore")
CROSS_VALIDATIONS, SUSPECTS = Path("metrics/cross_validation"), Path("plots/suspects")
ROBUSTNESS, SPOILT, SAMPLES = Path("metrics/robustness"), Path("plots/robustness"), Path("plots/corrupt/samples.png")
BEST, REPORTS, BENCHMARKS = Path("models/best"), Path("reports"), Path("benchmarks/results")


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


def read_costs(models: list[dict[str, Any]]) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Return what `make bench` measured, by its name and the model's, and the machine; nothing if it measured other
    files than those of `models`, each of which is a model.json.
    """
    inference, stages = (json.loads((BENCHMARKS / f"{name}.json").read_text()) for name in ("inference", "stages"))
    timed = inference["results"]
    if any(timed.get(model["name"], {}).get("sha256") != model["sha256"] for model in models):
        return {}, {}
    names = [model["name"] for model in models]
    costs = {"ms for one image": {name: timed[name]["milliseconds_p50"] for name in names}}
    trained = {name: stages["results"]["stages"].get(f"train@{name}") for name in names}
    if all(trained.values()):
        costs["s to train"] = {name: stage["seconds"] for name, stage in trained.items()}
    return costs, inference["machine"]


def read_robustness(names: list[str]) -> dict[str, pages.Robustness]:
    """Return how accurate each model is on spoilt images; nothing where that was not measured."""
    if not ROBUSTNESS.is_dir():
        return {}
    found = {}
    for name in names:
        cells: dict[str, list[float]] = {}
        for cell in json.loads((SPOILT / f"{name}.json").read_text()):
            cells.setdefault(cell["corruption"], []).append(cell["accuracy"])
        found[name] = pages.Robustness(json.loads((ROBUSTNESS / f"{name}.json").read_text()), cells)
    return found


def draw(evaluation: dict[str, Any]) -> dict[str, Figure]:
    """Return the pictures of one model that are made from numbers alone."""
    name, xlabel = evaluation["model"]["name"], "epoch" if "epochs" in evaluation["model"]["training"] else "images"
    return {
        "curves": plots.curves(read_curves(CURVES / name), f"{name}: learning", xlabel),
        "reliability": plots.reliability(evaluation["reliability"]["test"], f"{name}: as sure as right?"),
        "slices": plots.slices(evaluation["slices"], f"{name}: errors on parts of the test images"),
    }


def repeated(settings: params.CrossValidation, most: int) -> str:
    """Return in words what the stage `cross_validate` did, which had `most` images to draw from."""
    return f"{settings.folds} folds of {min(settings.images, most):,} images, with {settings.seeds} seeds"


def main() -> None:
    """Read plots/ and cross-validation, write the leaderboard, the winner and the report."""
    settings = params.load()
    evaluations = {name: json.loads((EVALUATIONS / name / "evaluation.json").read_text()) for name in settings.models}
    cross_validations = {name: json.loads((CROSS_VALIDATIONS / f"{name}.json").read_text()) for name in evaluations}
    ranked = rank(list(evaluations.values()), cross_validations, settings.report.choose_by)
    rows = compare(ranked, {name: read_right(EVALUATIONS / name / "predictions.csv") for name in evaluations})
    names = [row["model"] for row in rows]
    winner = names[0]
    crown(evaluations[winner]["model"], BEST)
    board = {"winner": winner, "chosen_by": settings.report.choose_by, "models": rows}
    Path("metrics/leaderboard.json").write_text(json.dumps(board, indent=2) + "\n")

    costs, machine = read_costs([evaluation["model"] for evaluation in evaluations.values()])
    spent = {"ONNX file in kB": [row["bytes"] / 1000 for row in rows]}
    spent |= {label: [values[name] for name in names] for label, values in costs.items()}
    errors = [100 * (1 - row["test_accuracy"]) for row in rows]
    together: dict[str, pages.Picture] = {
        "leaderboard": plots.leaderboard(rows),
        "costs": plots.costs(names, errors, spent),
    }
    drawings: dict[str, dict[str, pages.Picture]] = {
        name: {**_pictures(EVALUATIONS / name), **draw(evaluations[name])} for name in names
    }
    shown = together | {name: drawings[winner][name] for name in ("confusion", "mistakes", "reliability", "slices")}
    for name, picture in (shown | {"samples": EXPLORED / "samples.png"}).items():
        _keep(picture, REPORTS / "figures" / f"{name}.png")

    facts = json.loads((EXPLORED / "facts.json").read_text())
    most = sum(sum(facts["images_per_digit"][split]) for split in ("train", "validation"))
    content = pages.Content(
        facts=facts,
        rows=rows,
        evaluations=[evaluations[name] for name in names],
        costs=costs,
        machine=machine,
        pictures={**_pictures(EXPLORED), **together, **({"corruptions": SAMPLES} if SAMPLES.is_file() else {})},
        drawings=drawings,
        robustness=read_robustness(names),
        chosen_by=settings.report.choose_by,
        suspects=json.loads((SUSPECTS / "suspects.json").read_text()),
        suspicious={**_pictures(SUSPECTS)},
        repeated=repeated(settings.cross_validation, most),
    )
    for file, page in pages.ALL.items():
        (REPORTS / file).write_text(pages.render(page, content), encoding="utf-8")
    print(f"winner: {winner}, test accuracy {rows[0]['test_accuracy']:.4f}. Report: {REPORTS}/index.html")


def _keep(picture: pages.Picture, path: Path) -> None:
    if isinstance(picture, Path):
        shutil.copyfile(picture, path)
    else:
        plots.save(picture, path)


def _pictures(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.png"))}


if __name__ == "__main__":
    runtime.run(main)
