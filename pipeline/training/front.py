"""`pipeline.imaging.tidy` before a model, in its ONNX graph: whatever is asked of the file is tidied first. It is the
same for every model, and exported once.
"""

import onnx
from onnx.compose import add_prefix, merge_models

from pipeline.artifact import INPUT
from pipeline.imaging.tidy import Tidy
from pipeline.training.export import to_onnx

PREFIX = "tidy_"  # of the names of its nodes


def export() -> onnx.ModelProto:
    """Return `Tidy` as ONNX, from `images` to `tidied`."""
    return to_onnx(Tidy(), "tidied")


def before(model: onnx.ModelProto, tidy: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model`, which reads `images`, with `tidy` before it; its interface stays what it was."""
    tidy = add_prefix(tidy, PREFIX)
    tidy.ir_version = model.ir_version
    joined = merge_models(tidy, model, [(f"{PREFIX}tidied", INPUT)], name="digits")
    for node in joined.graph.node:
        node.input[:] = [INPUT if name == f"{PREFIX}{INPUT}" else name for name in node.input]
    joined.graph.input[0].name = INPUT
    return joined
