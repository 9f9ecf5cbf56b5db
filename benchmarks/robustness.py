"""What the canonicalizer contributes: `python -m benchmarks.robustness`.

Measures models/cnn of the last `dvc repro`, with and without its canonicalizer, on data/corrupted: accuracy, coverage,
and the fraction of images that are accepted and correct, which is what a user gets. Also counts the clean images that
the canonicalizer changes.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("benchmarks.robustness")

from pathlib import Path
from typing import Any

import onnx
import onnxruntime

import benchmarks
from digits.interface import INPUT
from digits.model import Classifier
from pipeline import params
from pipeline.datasets import arrays
from pipeline.evaluate import on_corrupted, selective_on
from pipeline.robustness.canonicalize import canonicalize
from pipeline.scoring import robustness

MODEL = Path("models/cnn")
PREFIX = "canonicalizer_"  # of its nodes and tensors, see pipeline/package.py
SPLITS = {"train": arrays.TRAIN, "validation": arrays.VALIDATION, "test": arrays.TEST}


def without_canonicalizer(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` in which the classifier takes the images as they are."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for parts in (bare.graph.node, bare.graph.initializer, bare.graph.value_info):
        kept = [part for part in parts if not part.name.startswith(PREFIX)]
        del parts[:]
        parts.extend(kept)
    for node in bare.graph.node:
        node.input[:] = [INPUT if name.startswith(PREFIX) else name for name in node.input]
    return bare


def measure(classifier: Classifier) -> dict[str, Any]:
    """Return accuracy, coverage and `accepted_and_correct`: for each corruption and severity, their means, on the same
    images before corruption, and on those of another dataset, if there are any.
    """
    cells = on_corrupted(classifier)
    found = {"cells": cells, "summary": robustness.summarise(cells), "clean": selective_on(classifier, arrays.CLEAN)}
    return found | ({"external": selective_on(classifier, arrays.EXTERNAL)} if arrays.EXTERNAL.exists() else {})


def main() -> None:
    """Measure both models, print and write the results."""
    shipped = Classifier.load(MODEL, params.load().runtime.threads)
    bare = without_canonicalizer(onnx.load(MODEL / "model.onnx"))
    session = onnxruntime.InferenceSession(bare.SerializeToString(), providers=["CPUExecutionProvider"])
    results: dict[str, Any] = {}
    for name, classifier in (("with", shipped), ("without", Classifier(session, shipped.metadata))):
        results[name] = measure(classifier)
        print(f"{name} canonicalizer:", results[name]["summary"])
    results["changed"] = {
        name: int((canonicalize(split.images) != split.images).any(axis=(1, 2)).sum())
        for name, split in ((name, arrays.load(folder)) for name, folder in SPLITS.items())
    }
    print("clean images that the canonicalizer changes:", results["changed"])
    benchmarks.write("robustness", results)
