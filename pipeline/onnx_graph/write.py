"""Writing ONNX files and their metadata: equal models give equal bytes."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from digits import checksums
from digits.model import DIGITNESS, INPUT, PROBABILITIES, SIZE
from pipeline import json_file

LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx", "torch")
ADVICE = "Delete it and run `dvc repro`; if it comes back, run `make doctor`."


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


def write_model(folder: Path, model: onnx.ModelProto, metadata: Mapping[str, Any]) -> None:
    """Write model.onnx and model.json, `metadata` followed by interface, size, SHA-256 and versions, into `folder`.

    Input convention, classes, acceptance thresholds and licence are also in the ONNX file, as `metadata_props`.

    Raises:
        ValueError: `model` has another interface than `images` to `probabilities` and `digitness`: a bug.
    """
    onnx.checker.check_model(model, full_check=True)
    names = [value.name for value in [*model.graph.input, *model.graph.output]]
    if names != [INPUT, PROBABILITIES, DIGITNESS]:
        raise ValueError(f"expected input and outputs {[INPUT, PROBABILITIES, DIGITNESS]}, found {names}")
    classes = list(range(10))
    properties = {
        "input": f"{INPUT}: float32 (n, 1, {SIZE}, {SIZE}) in [0, 1], bright ink on dark background",
        "outputs": f"{PROBABILITIES}: float32 (n, 10); {DIGITNESS}: float32 (n,) in [0, 1]",
        "classes": ",".join(map(str, classes)),
        "licence": "MIT",
        **{f"acceptance.{name}": str(value) for name, value in metadata.get("acceptance", {}).items()},
    }
    onnx.helper.set_model_props(model, properties)
    written = write_onnx(folder / "model.onnx", model)
    card = {
        **metadata,
        "input": {"name": INPUT, "shape": ["n", 1, SIZE, SIZE], "dtype": "float32", "range": [0, 1], "ink": "bright"},
        "outputs": [
            {"name": PROBABILITIES, "shape": ["n", len(classes)], "dtype": "float32"},
            {"name": DIGITNESS, "shape": ["n"], "dtype": "float32"},
        ],
        "classes": classes,
        **written,
        "versions": versions(),
    }
    json_file.write(folder / "model.json", card)
