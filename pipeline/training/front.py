"""`pipeline.imaging.tidy` before a model, in its ONNX graph: whatever is asked of the file is tidied first."""

import onnx
from onnx.compose import add_prefix, merge_models

from pipeline.artifact import INPUT
from pipeline.imaging.tidy import Tidy
from pipeline.training.export import to_onnx

PREFIX = "tidy_"  # of the names of its nodes


def before(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model`, which reads `images`, with `Tidy` before it; its interface stays what it was."""
    tidy = add_prefix(to_onnx(Tidy(), "tidied"), PREFIX, inplace=True)
    tidy.ir_version = model.ir_version
    joined = merge_models(tidy, model, [(f"{PREFIX}tidied", INPUT)], name="digits")
    for node in joined.graph.node:
        node.input[:] = [INPUT if name == f"{PREFIX}{INPUT}" else name for name in node.input]
    joined.graph.input[0].name = INPUT
    return joined
