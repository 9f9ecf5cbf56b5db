"""What whole numbers in place of fractions would bring: `python -m benchmarks.int8`.

The winner's convolutions and linear layers are quantised to eight bits, calibrated on train images, and compared with
the file that is shipped: validation errors, milliseconds for one image on one thread, images a second, bytes. Nothing
here is shipped.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

import benchmarks
from pipeline import artifact
from digits.model import INPUT, Classifier
from pipeline.datasets import arrays

CALIBRATION, BATCH = 600, 20  # train images, and how many at a time
SINGLE, ROUNDS = 300, 5
LEFT = ("tidy_", "gate_")  # what stays as it is: the front before the model, and the gate beside it


class Images(CalibrationDataReader):  # type: ignore[misc]
    """Batches of train images for the quantiser."""

    def __init__(self) -> None:
        images = arrays.load(arrays.TRAIN).first(CALIBRATION).scaled()
        self.batches = iter(images.reshape(-1, BATCH, *images.shape[1:]))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch, None after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def quantised(folder: Path) -> onnx.ModelProto:
    """Return the model in `folder` with eight-bit weights and activations."""
    model = onnx.load(folder / "model.onnx")
    left = [node.name for node in model.graph.node if node.name.startswith(LEFT)]
    with tempfile.TemporaryDirectory() as scratch:
        found = Path(scratch) / "int8.onnx"
        quantize_static(
            model,
            str(found),
            Images(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            nodes_to_exclude=left,
        )
        return onnx.load(found)


def measure(classifier: Classifier) -> dict[str, Any]:
    """Return errors on validation, milliseconds for one image and images a second."""
    validation = arrays.load(arrays.VALIDATION)
    images, single, rates = validation.scaled(), [], []
    for _ in range(ROUNDS):
        for row in range(SINGLE):
            start = time.perf_counter()
            classifier.probabilities(images[row : row + 1])
            single.append(1_000 * (time.perf_counter() - start))
        start = time.perf_counter()
        predicted = classifier.predict(images)
        rates.append(len(images) / (time.perf_counter() - start))
    return {
        "validation_errors": int((predicted != validation.labels).sum()),
        "milliseconds_p50": round(statistics.median(single), 4),
        "images_a_second": round(statistics.median(rates)),
        "bytes": classifier.card["bytes"],
    }


def main() -> None:
    """Measure models/best and its int8 version."""
    folder = Path("models/best")
    shipped = Classifier.load(folder)
    with tempfile.TemporaryDirectory() as scratch:
        artifact.save(Path(scratch), quantised(folder), {"name": "int8"})
        results = {"float32": measure(shipped), "int8": measure(Classifier.load(scratch))}
    for name, found in results.items():
        print(name, found)
    benchmarks.write("int8", results)


if __name__ == "__main__":
    main()
