"""Stage `package`: join canonicalizer, classifier and OOD detector into the one ONNX file that is evaluated, served and
shipped, models/<model>/model.onnx, and set its rejection threshold.

    python -m pipeline.package cnn
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.package")

from dataclasses import asdict
from pathlib import Path

import onnx
import onnxruntime

from digits.model import Classifier
from pipeline import json_file, params
from pipeline.datasets import arrays
from pipeline.onnx_graph.graph import add_output, prepend
from pipeline.onnx_graph.write import read_onnx, write_model
from pipeline.ood.acceptance import fit_acceptance
from pipeline.scoring.rounding import rounded

CANONICALIZER, DETECTOR = Path("models/canonicalizer"), Path("models/ood_detector")


def join(classifier: onnx.ModelProto) -> onnx.ModelProto:
    """Return `classifier` with the OOD detector beside it and the canonicalizer before both."""
    canonicalizer, detector = (
        read_onnx(folder / f"{name}.onnx", json_file.read(folder / f"{name}.json").get("sha256"))
        for folder, name in ((CANONICALIZER, "canonicalizer"), (DETECTOR, "detector"))
    )
    return prepend(add_output(classifier, detector, "ood_"), canonicalizer, "canonicalizer_")


def main(model: str) -> None:
    """Read the three parts and the validation images, write models/<model>."""
    settings = params.load()
    source = Path("models/classifiers") / model
    metadata = json_file.read(source / "classifier.json")
    joined = join(read_onnx(source / "classifier.onnx", metadata["classifier"]["sha256"]))
    session = onnxruntime.InferenceSession(joined.SerializeToString(), providers=["CPUExecutionProvider"])
    probabilities, digitness = Classifier(session, {}).infer(arrays.load(arrays.VALIDATION).scaled())
    acceptance = fit_acceptance(
        probabilities.max(axis=1),
        digitness,
        max_false_rejection_rate=settings.ood.max_false_rejection_rate,
        confident=settings.ood.confident,
        unsure_factor=settings.ood.unsure_factor,
    )
    rejected = rounded(1 - acceptance.accept(probabilities, digitness).mean())
    metadata |= {
        "acceptance": asdict(acceptance),
        "validation_false_rejection_rate": rejected,
        "ood_detector": json_file.read(DETECTOR / "detector.json"),
        "canonicalizer": json_file.read(CANONICALIZER / "canonicalizer.json"),
    }
    write_model(Path("models") / model, joined, metadata)
    print(f"models/{model}: rejects {rejected:.2%} of the validation digits")
