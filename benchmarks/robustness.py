"""What the canonicalizer contributes: `python -m benchmarks.robustness [--held-out]`.

Measures models/cnn of the last `dvc repro` with and without its canonicalizer: accuracy, coverage, accuracy of the
accepted images, and the fraction that is accepted and correct, which is what a user gets. `harm` is that fraction
without the canonicalizer minus with it, at the same thresholds of acceptance. Each suite has results of its own in
benchmarks/results:

    robustness           the development suite, and the clean test images
    robustness_held_out  with --held-out, the held-out suite. Once per release, never while working: see
                         pipeline/robustness/held_out.py
    robustness_mnist_c   if MNIST_C names them, the published files of MNIST-C, 10,000 images per corruption: see
                         pipeline/robustness/mnist_c.py
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("benchmarks.robustness")

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import benchmarks
from digits.errors import InputError
from digits.interface import INPUT
from digits.model import Classifier
from pipeline import params
from pipeline.corrupt import spread_out
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.robustness import mnist_c
from pipeline.robustness.corruptions import CORRUPTIONS, PUBLISHED, SEVERITIES, Corruption, corrupt
from pipeline.robustness.held_out import HELD_OUT
from pipeline.scoring import robustness
from pipeline.scoring.coverage import selective
from pipeline.scoring.rounding import rounded
from pipeline.scoring.uncertainty import interval

MODEL = Path("models/cnn")
IMAGES = 2_000  # test images, each with every corruption and severity
PREFIX = "canonicalizer_"  # of its nodes and tensors, see pipeline/onnx_graph/package.py
OPTION = "--held-out"
WAYS = ("with", "without")  # the canonicalizer

Models = dict[str, Classifier]
Cell = dict[str, Any]


def without_canonicalizer(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` in which classifier and OOD detector take the images as they are."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    nodes = [node for node in bare.graph.node if not any(name.startswith(PREFIX) for name in node.output)]
    if len(nodes) == len(bare.graph.node):
        raise ValueError(f"expected tensors called {PREFIX}..., found none")
    for node in nodes:
        node.input[:] = [INPUT if name.startswith(PREFIX) else name for name in node.input]
    del bare.graph.node[:]
    bare.graph.node.extend(nodes)
    for parts in (bare.graph.initializer, bare.graph.value_info):
        kept = [part for part in parts if not part.name.startswith(PREFIX)]
        del parts[:]
        parts.extend(kept)
    return bare


def measure(models: Models, images: LabelledImages) -> Cell:
    """Return the number of images, the scores of each of `models` with the 95% interval of `accepted_and_correct`, and
    the harm of the canonicalizer.
    """
    cell: Cell = {"images": len(images)}
    for way, classifier in models.items():
        probabilities, digitness = classifier.infer(images.scaled())
        correct, accepted = probabilities.argmax(axis=1) == images.labels, classifier.accept(digitness)
        low, high = interval(int((correct & accepted).sum()), len(images))
        ends = {"accepted_and_correct_low": low, "accepted_and_correct_high": high}
        cell[way] = selective(correct, accepted) | ends
    return cell | {"harm": rounded(cell["without"]["accepted_and_correct"] - cell["with"]["accepted_and_correct"])}


def corrupted(table: Iterable[Corruption], clean: LabelledImages, seed: int) -> Iterator[tuple[Cell, LabelledImages]]:
    """Yield corruption, severity and images for each corruption in `table` and each severity."""
    for corruption in table:
        for severity in SEVERITIES:
            cell = {
                "corruption": corruption.name,
                "severity": severity,
                "published": corruption.is_published(severity),
            }
            yield cell, LabelledImages(corrupt(corruption, clean.images, severity, seed), clean.labels)


def published(root: mnist_c.Root, labels: np.ndarray) -> Iterator[tuple[Cell, LabelledImages]]:
    """Yield corruption, severity and test images for each corruption of the published MNIST-C in `root`."""
    for name in mnist_c.NAMES:
        yield {"corruption": name, "severity": PUBLISHED, "published": True}, mnist_c.load(root, name, labels)


def measure_suite(models: Models, suite: Iterable[tuple[Cell, LabelledImages]]) -> dict[str, Any]:
    """Return the measured cells of `suite`; for each model means and worst cell; and the cell with the largest harm."""
    cells = [cell | measure(models, images) for cell, images in suite]
    summary: dict[str, Any] = {}
    for way in models:
        flat = [cell | cell[way] for cell in cells]
        summary[way] = robustness.means(flat) | {"worst": robustness.worst(flat)}
    harmed = max(cells, key=lambda cell: cell["harm"])
    summary["largest_harm"] = {key: harmed[key] for key in ("corruption", "severity", "harm")}
    return {"summary": summary, "cells": cells}


def main(*options: str) -> None:
    """Measure the suites, print their means and write the results."""
    if set(options) - {OPTION}:
        raise InputError(f"expected {OPTION} or nothing, found {' '.join(options)}.")
    settings = params.load()
    shipped = Classifier.load(MODEL, settings.runtime.threads)
    bare = without_canonicalizer(onnx.load(MODEL / "model.onnx")).SerializeToString()
    models = {"with": shipped, "without": Classifier.from_bytes(bare, shipped.metadata, settings.runtime.threads)}
    test = arrays.load(arrays.TEST)
    some = spread_out(test, IMAGES)

    found = measure_suite(models, corrupted(CORRUPTIONS.values(), some, settings.seed))
    _report("robustness", {"clean": measure(models, test), **found})
    if OPTION in options:
        _report("robustness_held_out", measure_suite(models, corrupted(HELD_OUT.values(), some, settings.seed)))
    if files := os.environ.get("MNIST_C"):
        root, sha256 = mnist_c.open_files(Path(files))
        found = measure_suite(models, published(root, test.labels))
        _report("robustness_mnist_c", {"archive_sha256": sha256, **found})


def _report(name: str, results: dict[str, Any]) -> None:
    summary = results["summary"]
    for way in WAYS:
        means, least = summary[way], summary[way]["worst"]["accepted_and_correct"]
        print(
            f"{name}, {way} canonicalizer: accuracy {means['accuracy']:.2%}, coverage {means['coverage']:.2%}, "
            f"accepted and correct {means['accepted_and_correct']:.2%}, worst {least:.2%}"
        )
    print(f"{name}: largest harm {100 * summary['largest_harm']['harm']:.1f} percentage points")
    benchmarks.write(name, results)
