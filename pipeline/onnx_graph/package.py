"""The packaged model: one ONNX file of canonicalizer, classifier and OOD detector, and its metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from digits.interface import DIGITNESS, INPUT, PROBABILITIES
from pipeline import json_file
from pipeline.onnx_graph.graph import add_output, prepend
from pipeline.onnx_graph.write import versions, write_onnx


def join(canonicalizer: onnx.ModelProto, classifier: onnx.ModelProto, detector: onnx.ModelProto) -> onnx.ModelProto:
    """Return one model in which `classifier` and OOD `detector` both take the output of `canonicalizer`."""
    return prepend(add_output(classifier, detector, "ood_"), canonicalizer, "canonicalizer_")


def write_package(folder: Path, model: onnx.ModelProto, metadata: Mapping[str, Any]) -> None:
    """Write model.onnx and model.json, `metadata` followed by interface, size, SHA-256 and versions, into `folder`.

    Input convention, classes, acceptance thresholds and licence are also in the ONNX file, as `metadata_props`.

    Raises:
        ValueError: `model` has another interface than `images` to `probabilities` and, of digits, `digitness`: a bug.
    """
    onnx.checker.check_model(model, full_check=True)
    data = metadata["data"]
    names = [value.name for value in [*model.graph.input, *model.graph.output]]
    expected = [INPUT, PROBABILITIES, *([DIGITNESS] if data["digits"] else [])]
    if names != expected:
        raise ValueError(f"expected input and outputs {expected}, found {names}")
    classes, shape = data["classes"], data["shape"]
    size = ", ".join(map(str, shape))
    ink = ", bright ink on dark background" if data["digits"] else ""
    digitness = f"; {DIGITNESS}: float32 (n,) in [0, 1]" if data["digits"] else ""
    properties = {
        "input": f"{INPUT}: float32 (n, {size}) in [0, 1]{ink}",
        "outputs": f"{PROBABILITIES}: float32 (n, {len(classes)}){digitness}",
        "classes": json.dumps(classes),
        "licence": "MIT",
        **{f"acceptance.{name}": str(value) for name, value in metadata["acceptance"].items()},
    }
    onnx.helper.set_model_props(model, properties)
    written = write_onnx(folder / "model.onnx", model)
    contents = {
        **metadata,
        "input": {"name": INPUT, "shape": ["n", *shape], "dtype": "float32", "range": [0, 1]}
        | ({"ink": "bright"} if data["digits"] else {}),
        "outputs": [
            {"name": PROBABILITIES, "shape": ["n", len(classes)], "dtype": "float32"},
            *([{"name": DIGITNESS, "shape": ["n"], "dtype": "float32"}] if data["digits"] else []),
        ],
        "classes": classes,
        **written,
        "versions": versions(),
    }
    json_file.write(folder / "model.json", contents)
