"""Stage `package`: join canonicalizer, classifier and OOD detector into the one ONNX file that is evaluated, served and
shipped, models/<model>/model.onnx, and set its rejection threshold. For images that are not digits, the file has the
classifier alone. A classifier from before a refit becomes models/<model>/before_refit, which is only validated.

    python -m pipeline.package cnn
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.package")

import shutil
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

BEFORE_REFIT = "before_refit"


def main(model: str) -> None:
    """Read the parts and the validation images, write models/<model>."""
    settings, source, folder = params.load(), Path("models/classifiers") / model, Path("models") / model
    classifier, metadata = read_part(source, "classifier")
    metadata["classifier"] = {key: metadata.pop(key) for key in ("bytes", "sha256")}
    shutil.rmtree(folder / BEFORE_REFIT, ignore_errors=True)
    if before := metadata.pop(BEFORE_REFIT, None):
        earlier = read_onnx(source / f"{BEFORE_REFIT}.onnx", before["sha256"])
        _package(earlier, metadata | {"classifier": before}, folder / BEFORE_REFIT, settings)
    rejected = _package(classifier, metadata, folder, settings)
    print(f"{folder}: written" if rejected is None else f"{folder}: rejects {rejected:.2%} of the validation digits")


def _package(
    classifier: onnx.ModelProto, metadata: dict[str, Any], folder: Path, settings: params.Params
) -> float | None:
    """Join `classifier` with the other parts, write it to `folder`, and return the fraction of the validation digits
    that it rejects, of digits.
    """
    if not metadata["data"]["digits"]:
        write_package(folder, classifier, metadata | {"acceptance": asdict(EVERYTHING)})
        return None
    canonicalizer, metadata["canonicalizer"] = read_part(Path("models/canonicalizer"), "canonicalizer")
    detector, metadata["ood_detector"] = read_part(Path("models/ood_detector"), "detector")
    joined = join(canonicalizer, classifier, detector)
    packaged = Classifier.from_bytes(joined.SerializeToString(), {}, settings.runtime.threads)
    _, digitness = packaged.infer(arrays.load(arrays.VALIDATION).scaled())
    acceptance = fit_acceptance(digitness, max_false_rejection_rate=settings.ood.max_false_rejection_rate)
    rejected = rounded(1 - acceptance.accept(digitness).mean())
    metadata |= {"acceptance": asdict(acceptance), "validation_false_rejection_rate": rejected}
    write_package(folder, joined, metadata)
    return rejected


def read_part(folder: Path, name: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Return the verified ONNX file `name` in `folder`, and its metadata.

    Raises:
        InputError: the file is not the one that its metadata describe.
    """
    metadata = json_file.read(folder / f"{name}.json")
    return read_onnx(folder / f"{name}.onnx", metadata.get("sha256")), metadata
