"""Stage `package`: join canonicalizer, classifier and OOD detector into the one ONNX file that is evaluated, served and
shipped, models/<model>/model.onnx, and set its rejection threshold. For images that are not digits, the file has the
classifier alone.

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
from pipeline.ood.acceptance import EVERYTHING, fit_acceptance
from pipeline.scoring.rounding import rounded


def main(model: str) -> None:
    """Read the three parts and the validation images, write models/<model>."""
    settings = params.load()
    classifier, metadata = read_part(Path("models/classifiers") / model, "classifier")
    metadata["classifier"] = {key: metadata.pop(key) for key in ("bytes", "sha256")}
    if not metadata["data"]["digits"]:
        write_package(Path("models") / model, classifier, metadata | {"acceptance": asdict(EVERYTHING)})
        print(f"models/{model}: written")
        return
    canonicalizer, metadata["canonicalizer"] = read_part(Path("models/canonicalizer"), "canonicalizer")
    detector, metadata["ood_detector"] = read_part(Path("models/ood_detector"), "detector")
    joined = join(canonicalizer, classifier, detector)
    packaged = Classifier.from_bytes(joined.SerializeToString(), {}, settings.runtime.threads)
    _, digitness = packaged.infer(arrays.load(arrays.VALIDATION).scaled())
    acceptance = fit_acceptance(digitness, max_false_rejection_rate=settings.ood.max_false_rejection_rate)
    rejected = rounded(1 - acceptance.accept(digitness).mean())
    metadata |= {"acceptance": asdict(acceptance), "validation_false_rejection_rate": rejected}
    write_package(Path("models") / model, joined, metadata)
    print(f"models/{model}: rejects {rejected:.2%} of the validation digits")


def read_part(folder: Path, name: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Return the verified ONNX file `name` in `folder`, and its metadata.

    Raises:
        InputError: the file is not the one that its metadata describe.
    """
    metadata = json_file.read(folder / f"{name}.json")
    return read_onnx(folder / f"{name}.onnx", metadata.get("sha256")), metadata
