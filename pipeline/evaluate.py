"""Stage `evaluate`: measure one model's ONNX file on validation and test: `python -m pipeline.evaluate cnn`.

This is where the shipped models are measured on the test images, once. metrics/<model>.json has the scores that DVC
compares; plots/evaluation/<model>/ has everything else, and its evaluation.json is what the report is made from.
Accuracies on spoilt test images and on another dataset's are in metrics/robustness and plots/robustness.
"""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import numpy as np
from rich.console import Console

from pipeline import params, scoring
from pipeline.artifact import Classifier
from pipeline.datasets import arrays
from pipeline.errors import InputError
from pipeline.reporting import plots
from pipeline.scoring import robustness
from pipeline.scoring.coverage import coverage
from pipeline.scoring.reliability import reliability
from pipeline.scoring.slices import slices


def main() -> None:
    """Measure the model named on the command line."""
    if len(sys.argv) != 2:
        raise InputError("expected the name of one model, as in `python -m pipeline.evaluate cnn`.")
    name, settings = sys.argv[1], params.load()
    facts = json.loads(arrays.FACTS.read_text())
    classifier = Classifier.load(Path("models") / name, settings.runtime.threads)
    validation, test = arrays.load(arrays.VALIDATION), arrays.load(arrays.TEST)
    with Console(stderr=True).status(f"{name}: reading {len(validation) + len(test):,} digits"):
        on_validation = classifier.probabilities(validation.scaled())
        on_test, digitness = classifier.judge(test.scaled())

    rejected = round(float((digitness < classifier.threshold).mean()), 6)
    metrics = {
        "test": scoring.full(on_test, test.labels) | {"rejected": rejected},
        "validation": scoring.headline(on_validation, validation.labels),
    }
    _write_json(Path("metrics") / f"{name}.json", metrics)

    with Console(stderr=True).status(f"{name}: reading spoilt digits"):
        cells = robustness.cells(classifier.predict)
        summary = robustness.summary(classifier.predict, cells)
    _write_json(Path("metrics/robustness") / f"{name}.json", summary)
    _write_json(Path("plots/robustness") / f"{name}.json", cells)

    folder = Path("plots/evaluation") / name
    predicted = on_test.argmax(axis=1)
    matrix, digits = scoring.confusion(predicted, test.labels), scoring.per_digit(predicted, test.labels)
    details = {
        "model": classifier.card,
        "metrics": metrics,
        "per_digit": digits,
        "confusion": matrix.tolist(),
        "reliability": {
            "test": reliability(on_test, test.labels),
            "validation": reliability(on_validation, validation.labels),
        },
        "coverage": coverage(on_test.max(axis=1) * digitness, predicted == test.labels),
        "slices": slices(test.images, test.labels, predicted == test.labels, facts["train_thirds"]),
    }
    _write_json(folder / "evaluation.json", details)
    _write_csv(folder / "per_digit.csv", digits)
    rows = [{"actual": int(a), "predicted": int(p)} for a, p in zip(test.labels, predicted, strict=True)]
    _write_csv(folder / "predictions.csv", rows)

    plots.save(plots.confusion(matrix, f"{name}: {metrics['test']['errors']} errors"), folder / "confusion.png")
    wrong, right = (gallery(on_test, test.labels, settings.evaluate.gallery, mistakes=m) for m in (True, False))
    for rows_, captions, title, picture in (
        (*wrong, f"{name}: mistakes, the surest first (actual → predicted, probability)", "mistakes"),
        (*right, f"{name}: right answers, the least sure first", "right"),
    ):
        plots.save(plots.gallery(test.images[rows_], captions, title), folder / f"{picture}.png")
    print(f"{name}: test accuracy {metrics['test']['accuracy']:.4f}, {metrics['test']['errors']} errors")


def gallery(
    probabilities: np.ndarray, labels: np.ndarray, count: int, *, mistakes: bool
) -> tuple[np.ndarray, list[str]]:
    """Return which images to show, at most `count`, and their captions: the most telling first.

    Of the mistakes those of which the model was surest; of the right answers those of which it was least sure.
    """
    predicted = probabilities.argmax(axis=1)
    sureness = probabilities.max(axis=1).round(3)  # so that the order does not hang on the last bits
    rows = np.flatnonzero((predicted != labels) == mistakes)
    rows = rows[np.argsort(-sureness[rows] if mistakes else sureness[rows], kind="stable")][:count]
    return rows, [
        f"{labels[row]} → {predicted[row]}  {sureness[row]:.2f}" if mistakes else f"{labels[row]}  {sureness[row]:.2f}"
        for row in rows
    ]


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def _write_csv(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    runtime.run(main)
