"""The winner, quantised to eight bits: `python -m benchmarks.int8`.

Convolutions and linear layers of models/best are quantised statically, calibrated on training images; canonicalizer and
OOD detector stay in float32. The result is compared with the shipped file: errors on the validation images, latency
and throughput on one thread, size. The quantised model is not shipped.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import benchmarks
from benchmarks.inference import latencies, throughput
from digits.interface import INPUT
from digits.model import Classifier
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.package import write_package

CALIBRATION, BATCH = 600, 20  # training images, and how many at a time
SINGLE, ROUNDS = 300, 5
KEPT = ("canonicalizer_", "ood_")  # prefixes of the nodes that stay in float32, see pipeline/package.py


class CalibrationImages(CalibrationDataReader):  # type: ignore[misc]
    """Batches of images for the quantiser, from an array (n, 1, 28, 28)."""

    def __init__(self, images: np.ndarray) -> None:
        self.batches = iter(images.reshape(-1, BATCH, *images.shape[1:]))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch, None after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def quantise(model: onnx.ModelProto, images: np.ndarray) -> onnx.ModelProto:
    """Return `model` with eight-bit weights and activations, calibrated on `images` (n, 1, 28, 28)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            str(file),
            CalibrationImages(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            nodes_to_exclude=[node.name for node in model.graph.node if node.name.startswith(KEPT)],
        )
        return onnx.load(file)


def measure(classifier: Classifier, validation: LabelledImages) -> dict[str, Any]:
    """Return errors on the validation images, median latency and throughput, and size in bytes."""
    images, single, rates = validation.scaled(), [], []
    for _ in range(ROUNDS):
        single += latencies(classifier, images[:SINGLE])
        rates.append(throughput(classifier, images))
    return {
        "validation_errors": int((classifier.predict(images) != validation.labels).sum()),
        "milliseconds_p50": round(statistics.median(single), 4),
        "images_a_second": round(statistics.median(rates)),
        "bytes": classifier.metadata["bytes"],
    }


def main() -> None:
    """Measure models/best and its quantised version, print and write the results."""
    folder, validation = Path("models/best"), arrays.load(arrays.VALIDATION)
    shipped = Classifier.load(folder)
    model = quantise(onnx.load(folder / "model.onnx"), arrays.load(arrays.TRAIN).first(CALIBRATION).scaled())
    with tempfile.TemporaryDirectory() as scratch:
        write_package(Path(scratch), model, shipped.metadata | {"name": "int8"})
        quantised = Classifier.load(scratch)
    results = {"float32": measure(shipped, validation), "int8": measure(quantised, validation)}
    for name, found in results.items():
        print(name, found)
    benchmarks.write("int8", results)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.int8")
