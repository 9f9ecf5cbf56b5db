"""The shipped model: a folder with model.onnx, which holds all of its own preprocessing, and model.json, which says
what it is. What is evaluated, served and shipped is that one file, checked against its SHA-256 before it is used.

    classifier = Classifier.load("models/best")
    classifier.predict(images)  # images (n, 1, 28, 28) float32 in [0, 1], ink bright on dark -> (n,) digits
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from pipeline.errors import InputError

if TYPE_CHECKING:
    import onnx

INPUT, OUTPUT, DIGITNESS = "images", "probabilities", "digitness"
BATCH = 500  # images in one call of ONNX Runtime; bounds memory
LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "torch")


def save(folder: Path, model: "onnx.ModelProto", facts: Mapping[str, Any]) -> None:
    """Write `model` and its model.json, `facts` followed by interface, size, SHA-256 and versions, into `folder`.

    Raises:
        ValueError: `model` has another interface than `images` to `probabilities`; a mistake in an exporter.
    """
    import onnx  # not needed by whoever only reads digits

    listed = {(opset.domain, opset.version) for opset in model.opset_import}
    del model.opset_import[:]  # skl2onnx lists them in a chance order, and merging lists one of them twice
    model.opset_import.extend(onnx.helper.make_opsetid(*opset) for opset in sorted(listed))
    onnx.checker.check_model(model, full_check=True)
    names = [value.name for value in [*model.graph.input, *model.graph.output]]
    if names not in ([INPUT, OUTPUT], [INPUT, OUTPUT, DIGITNESS]):
        raise ValueError(f"expected input and outputs {[INPUT, OUTPUT, DIGITNESS]}, found {names}")
    content = model.SerializeToString(deterministic=True)
    card = {
        **facts,
        "input": {"name": INPUT, "shape": ["n", 1, 28, 28], "dtype": "float32", "range": [0, 1], "ink": "bright"},
        "outputs": [
            {"name": OUTPUT, "shape": ["n", 10], "dtype": "float32"},
            {"name": DIGITNESS, "shape": ["n"], "dtype": "float32"},
        ][: len(model.graph.output)],
        "classes": list(range(10)),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "versions": versions(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    (folder / "model.json").write_text(json.dumps(card, indent=2) + "\n")


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide a model's bytes."""
    return {name: version(name) for name in LIBRARIES}


@dataclass(frozen=True)
class Classifier:
    """A model that was loaded and verified. `card` is its model.json."""

    session: onnxruntime.InferenceSession
    card: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path, threads: int = 1) -> "Classifier":
        """Load model.onnx from `folder`, to run on `threads` CPU threads.

        Raises:
            InputError: a file is missing, or the model is not the one that model.json describes.
        """
        folder = Path(folder)
        try:
            content, text = (folder / "model.onnx").read_bytes(), (folder / "model.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise InputError(f"{error.filename} not found. Run `dvc repro`, or `dvc checkout {folder}`.") from None
        try:
            card = json.loads(text)
            expected = card["sha256"]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{folder / 'model.json'}: expected the JSON of a model, with its sha256.") from None
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise InputError(
                f"{folder / 'model.onnx'}: expected SHA-256 {expected}, found {found}. "
                f"Delete the folder and run `dvc checkout {folder}` or `git checkout {folder}`."
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        return cls(onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]), card)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return (n, 10) float32, the probability of each digit, for `images` (n, 1, 28, 28) float32 in [0, 1].

        Raises:
            ValueError: images of another shape, type or range.
        """
        return self.judge(images)[0]

    def judge(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `probabilities`, and (n,) float32, how much each image looks like a digit at all, in [0, 1]: what is
        below `threshold` should not be read.

        Raises:
            ValueError: images of another shape, type or range.
        """
        if images.ndim != 4 or images.shape[1:] != (1, 28, 28) or images.dtype != np.float32:
            raise ValueError(f"expected (n, 1, 28, 28) float32, found {images.shape} {images.dtype}")
        if images.size and not (images.min() >= 0 and images.max() <= 1):
            raise ValueError(f"expected values in [0, 1], found {images.min()} to {images.max()}")
        if not len(images):
            return np.zeros((0, 10), np.float32), np.zeros(0, np.float32)
        batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        found = [self.session.run(None, {INPUT: batch}) for batch in batches]
        outputs = [np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in zip(*found, strict=True)]
        if len(outputs) == 1:  # a model without a gate
            outputs.append(np.ones(len(images), np.float32))
        return outputs[0], outputs[1]

    @property
    def threshold(self) -> float:
        """Return the least digitness of what should be read as a digit; chosen on validation digits."""
        return float(self.card["gate"]["threshold"]) if "gate" in self.card else 0.0

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the most probable digits (n,) for `images` as in `probabilities`."""
        return self.probabilities(images).argmax(axis=1)
