"""Stage `evaluate`: measure one model's ONNX file on validation, test and corrupted images.

    python -m pipeline.evaluate cnn

Shipped models are evaluated on the test set here only, once per model. The stage writes the scores to compare to
metrics/<model>.json, all others to results/evaluation and results/robustness, and pictures to plots/evaluation.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.evaluate")

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from digits.model import Classifier
from pipeline import json_file, params, scoring
from pipeline.datasets import arrays
from pipeline.reporting import plots
from pipeline.robustness.corruptions import CORRUPTIONS, SEVERITIES
from pipeline.scoring import robustness
from pipeline.scoring.coverage import accuracy_by_coverage, selective
from pipeline.scoring.reliability import reliability
from pipeline.scoring.rounding import rounded
from pipeline.scoring.slices import slices

METRICS = ("accuracy", "precision", "recall", "f1", "log_loss", "ece", "errors", "false_rejection_rate")  # on test
CORRUPTED_METRICS = ("accepted_and_correct", "accuracy", "coverage")  # means over all corruptions and severities


def main(model: str) -> None:
    """Read models/<model>, data/prepared and data/corrupted; write metrics, results and plots of the model."""
    settings = params.load()
    classifier = Classifier.load(Path("models") / model, settings.runtime.threads)
    folder = Path("plots/evaluation") / model
    before_refit = Path("models") / model / "before_refit"
    validated = Classifier.load(before_refit, settings.runtime.threads) if before_refit.exists() else classifier
    with Console(stderr=True).status(f"{model}: evaluating on clean images"):
        details = evaluate(classifier, validated)
    test, validation, robust = details["test"], details["validation"], {}
    metrics = {
        "validation": {name: validation[name] for name in ("accuracy", "log_loss")},
        "test": {name: test[name] for name in METRICS if name in test},
    }
    if sampled := classifier.metadata["training"].get("sampled_images"):  # not all training images fitted in memory
        metrics["train"] = {"sampled_images": sampled}
    if arrays.CLEAN.exists():
        with Console(stderr=True).status(f"{model}: evaluating on corrupted images"):
            cells = on_corrupted(classifier)
        robust = summarise(classifier, cells)
        metrics["corrupted"] = {name: robust["summary"]["all"][name] for name in CORRUPTED_METRICS}
        write_csv(folder / "severity.csv", robustness.by_severity(cells))
    json_file.write(Path("metrics") / f"{model}.json", metrics)
    json_file.write(Path("results/robustness") / f"{model}.json", robust)
    probabilities = details.pop("probabilities")
    json_file.write(Path("results/evaluation") / f"{model}.json", {"model": classifier.metadata, **details})
    draw(model, probabilities, settings.evaluate.top_k, folder)
    print(f"{model}: test accuracy {test['accuracy']:.4f}, {test['errors']} errors")


def evaluate(classifier: Classifier, validated: Classifier) -> dict[str, Any]:
    """Return all scores of `classifier` on the test images, with its probabilities (n, classes) there, and of
    `validated` on the validation images: the same, or what it was before it was fitted to these too.

    Without an OOD detector there are no scores of rejection.
    """
    data = json_file.read(arrays.METADATA)
    validation, test = arrays.load(arrays.VALIDATION), arrays.load(arrays.TEST)
    on_validation, _ = infer(validated, validation)
    on_test, digitness = infer(classifier, test)
    predicted, accepted = on_test.argmax(axis=1), classifier.accept(digitness)
    correct = predicted == test.labels
    rejection = {
        "false_rejection_rate": rounded(1 - accepted.mean()),
        "accepted_and_correct": selective(correct, accepted)["accepted_and_correct"],
    }
    return {
        "validation": scoring.headline(on_validation, validation.labels),
        "test": scoring.full(on_test, test.labels) | (rejection if classifier.has_detector else {}),
        "per_class": scoring.per_class(predicted, test.labels, data["classes"]),
        "confusion": scoring.confusion(predicted, test.labels, len(data["classes"])).tolist(),
        "reliability": {
            "test": reliability(on_test, test.labels),
            "validation": reliability(on_validation, validation.labels),
        },
        "coverage": accuracy_by_coverage(on_test.max(axis=1) * digitness, correct),
        "slices": slices(test.images, test.labels, correct, data["classes"], data.get("train_thirds", {})),
        "probabilities": on_test,
    }


def infer(classifier: Classifier, images: arrays.LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (n, classes) and digitness (n,) of `images`, which are scaled a batch at a time."""
    found = [classifier.infer(batch.scaled()) for batch in images.batches()]
    probabilities, digitness = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return probabilities, digitness


def on_corrupted(classifier: Classifier) -> list[dict[str, Any]]:
    """Return a cell of `pipeline.scoring.robustness` per corruption and severity of the development suite."""
    cells = []
    for corruption in CORRUPTIONS.values():
        images = arrays.load(arrays.CORRUPTED / corruption.name)
        parts = np.split(np.arange(len(images)), len(SEVERITIES))
        for severity, part in zip(SEVERITIES, parts, strict=True):
            cell = {"corruption": corruption.name, "severity": severity, "published": corruption.is_published(severity)}
            cells.append(cell | measure(classifier, images.at(part)))
    return cells


def summarise(classifier: Classifier, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the content of results/robustness/<model>.json: summaries of `cells`, and the scores on the same images
    before corruption and on external digits.
    """
    found = {"summary": robustness.summarise(cells), "clean": measure(classifier, arrays.load(arrays.CLEAN))}
    if arrays.EXTERNAL.exists():
        found["external"] = measure(classifier, arrays.load(arrays.EXTERNAL))
    return found | {"corruptions": robustness.by_corruption(cells), "cells": cells}


def measure(classifier: Classifier, images: arrays.LabelledImages) -> dict[str, float]:
    """Return accuracy, coverage, and what is accepted and correct, of `images`, see `selective`."""
    probabilities, digitness = infer(classifier, images)
    return selective(probabilities.argmax(axis=1) == images.labels, classifier.accept(digitness))


def draw(name: str, probabilities: np.ndarray, top_k: int, folder: Path) -> None:
    """Write predictions, confusion matrix, the most confident errors and the least confident correct predictions on the
    test images to `folder`.
    """
    data = json_file.read(arrays.METADATA)
    classes, digits = plots.drawable(data["classes"]), data["digits"]
    test, predicted = arrays.load(arrays.TEST), probabilities.argmax(axis=1)
    pairs = zip(test.labels.tolist(), predicted.tolist(), strict=True)
    names = [{"actual": data["classes"][actual], "predicted": data["classes"][other]} for actual, other in pairs]
    write_csv(folder / "predictions.csv", names)
    errors = int((predicted != test.labels).sum())
    matrix = scoring.confusion(predicted, test.labels, len(classes))
    plots.save(plots.confusion(matrix, f"{name}: {errors} errors", classes), folder / "confusion.png")
    for picture, wrong, title in (
        ("errors", True, "most confident errors (actual → predicted, probability)"),
        ("correct", False, f"least confident correct predictions ({'digit' if digits else 'class'}, probability)"),
    ):
        rows, captions = gallery(probabilities, test.labels, classes, top_k, errors=wrong)
        figure = plots.gallery(test.images[rows], captions, f"{name}: {title}", digits=digits)
        plots.save(figure, folder / f"{picture}.png")


def gallery(
    probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str], count: int, *, errors: bool
) -> tuple[np.ndarray, list[str]]:
    """Return the rows of at most `count` images to draw, and their captions: the most confident errors, or the least
    confident correct predictions.
    """
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1).round(3)  # rounded: the last bits differ between CPUs
    rows = np.flatnonzero((predicted != labels) == errors)
    rows = rows[np.argsort(-confidence[rows] if errors else confidence[rows], kind="stable")][:count]
    return rows, [
        f"{classes[labels[row]]} → {classes[predicted[row]]}  {confidence[row]:.2f}"
        if errors
        else f"{classes[labels[row]]}  {confidence[row]:.2f}"
        for row in rows
    ]


def write_csv(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write `rows` to `path`, with the keys of the first as header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
