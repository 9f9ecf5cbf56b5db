"""Reading and writing ONNX files: equal models give equal bytes."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from digits import checksums
from pipeline.datasets.arrays import ADVICE

LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "torch")


def versions() -> dict[str, str]:
    """Return the versions of the libraries that determine a model's bytes."""
    return {name: version(name) for name in LIBRARIES}


def write_onnx(path: Path, model: onnx.ModelProto) -> dict[str, Any]:
    """Write `model` to `path` and return its size in bytes and its SHA-256."""
    opsets = {(opset.domain, opset.version) for opset in model.opset_import}
    del model.opset_import[:]  # skl2onnx lists them in random order, and merging lists one of them twice
    model.opset_import.extend(onnx.helper.make_opsetid(*opset) for opset in sorted(opsets))
    content = model.SerializeToString(deterministic=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"bytes": len(content), "sha256": checksums.sha256(content)}


def read_onnx(path: Path, sha256: str | None) -> onnx.ModelProto:
    """Return the model in the ONNX file `path`.

    Raises:
        InputError: the file has another SHA-256.
    """
    content = path.read_bytes()
    checksums.verify(path, sha256, ADVICE, content)
    return onnx.load_model_from_string(content)
