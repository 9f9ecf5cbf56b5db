"""Stage `package`: join canonicalizer, classifier and OOD detector into the one ONNX file that is evaluated, served and
shipped, models/<model>/model.onnx, and set its rejection threshold.

    python -m pipeline.package cnn
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.package")

from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx

from digits.model import Classifier
from pipeline import json_file, params
from pipeline.datasets import arrays
from pipeline.onnx_graph.package import join, write_package
from pipeline.onnx_graph.write import read_onnx
from pipeline.ood.acceptance import fit_acceptance
from pipeline.scoring.rounding import rounded


def main(model: str) -> None:
    """Read the three parts and the validation images, write models/<model>."""
    settings = params.load()
    classifier, metadata = read_part(Path("models/classifiers") / model, "classifier")
    canonicalizer, about_canonicalizer = read_part(Path("models/canonicalizer"), "canonicalizer")
    detector, about_detector = read_part(Path("models/ood_detector"), "detector")
    joined = join(canonicalizer, classifier, detector)
    packaged = Classifier.from_bytes(joined.SerializeToString(), {}, settings.runtime.threads)
    _, digitness = packaged.infer(arrays.load(arrays.VALIDATION).scaled())
    acceptance = fit_acceptance(digitness, max_false_rejection_rate=settings.ood.max_false_rejection_rate)
    rejected = rounded(1 - acceptance.accept(digitness).mean())
    classifier_file = {key: metadata.pop(key) for key in ("bytes", "sha256")}
    metadata |= {
        "acceptance": asdict(acceptance),
        "validation_false_rejection_rate": rejected,
        "classifier": classifier_file,
        "canonicalizer": about_canonicalizer,
        "ood_detector": about_detector,
    }
    write_package(Path("models") / model, joined, metadata)
    print(f"models/{model}: rejects {rejected:.2%} of the validation digits")


def read_part(folder: Path, name: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Return the verified ONNX file `name` in `folder`, and its metadata.

    Raises:
        InputError: the file is not the one that its metadata describe.
    """
    metadata = json_file.read(folder / f"{name}.json")
    return read_onnx(folder / f"{name}.onnx", metadata.get("sha256")), metadata
