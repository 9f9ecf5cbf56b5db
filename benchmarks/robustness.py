"""What `pipeline.imaging.tidy` brings to the default network, and what it leaves alone: `make bench`.

Reads the last `dvc repro`: models/cnn, with and without what stands before it, on data/corrupted; and all clean images.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import benchmarks
from digits.model import BATCH, INPUT, OUTPUT
from pipeline.datasets import arrays
from pipeline.robustness.canonicalize import tidied
from pipeline.scoring import robustness
from pipeline.training.front import PREFIX

MODEL = Path("models/cnn/model.onnx")
SPLITS = {"train": arrays.TRAIN, "validation": arrays.VALIDATION, "test": arrays.TEST}


def without(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` without what `front.before` put before it."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for parts in (bare.graph.node, bare.graph.initializer, bare.graph.value_info):
        kept = [part for part in parts if not part.name.startswith(PREFIX)]
        del parts[:]
        parts.extend(kept)
    for node in bare.graph.node:
        node.input[:] = [INPUT if name.startswith(PREFIX) else name for name in node.input]
    return bare


def predict(model: onnx.ModelProto) -> robustness.Predict:
    """Return a function from images to the digits that `model` reads."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def digits(images: np.ndarray) -> np.ndarray:
        batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
        return np.concatenate([session.run([OUTPUT], {INPUT: batch})[0].argmax(axis=1) for batch in batches])

    return digits


def main() -> None:
    """Measure, print and write it."""
    whole = onnx.load(MODEL)
    results: dict[str, Any] = {}
    for name, model in (("with", whole), ("without", without(whole))):
        digits = predict(model)
        cells = robustness.cells(digits)
        results[name] = {"cells": cells, "summary": robustness.summary(digits, cells)}
        print(name, results[name]["summary"])
    results["changed"] = {
        name: int((tidied(split.images) != split.images).any(axis=(1, 2)).sum())
        for name, split in ((name, arrays.load(folder)) for name, folder in SPLITS.items())
    }
    print("clean images changed:", results["changed"])
    benchmarks.write("robustness", results)


if __name__ == "__main__":
    main()
