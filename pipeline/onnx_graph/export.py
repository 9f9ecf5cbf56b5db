"""Export of torch modules to ONNX, without traces of the machine that exports."""

import warnings

import onnx
import torch
from torch import nn

from digits.interface import INPUT, SIZE
from pipeline.datasets.arrays import Shape

DIGIT = Shape(1, SIZE, SIZE)
OPSET = 18  # the newest that skl2onnx supports too


def to_onnx(module: nn.Module, output: str, shape: Shape = DIGIT) -> onnx.ModelProto:
    """Return `module` as ONNX, from `images` float32 (n, *shape) to a tensor called `output`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about itself
        program = torch.onnx.export(
            module.eval(),
            (torch.zeros(2, *shape),),
            input_names=[INPUT],
            output_names=[output],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # The exporter records the source file and line of each node: paths of this machine.
    model.ClearField("metadata_props")
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model
