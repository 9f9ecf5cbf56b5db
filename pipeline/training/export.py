"""A torch module to ONNX, without a trace of the machine it was exported on."""

import warnings

import onnx
import torch
from torch import nn

OPSET = 18  # understood by skl2onnx too


def to_onnx(module: nn.Module, output: str) -> onnx.ModelProto:
    """Return `module` as ONNX, from `images` float32 (n, 1, 28, 28) to `output`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about itself
        program = torch.onnx.export(
            module.eval(),
            (torch.zeros(2, 1, 28, 28),),
            input_names=["images"],
            output_names=[output],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # The exporter notes where in the source each node came from: paths of this machine, and no part of the model.
    model.ClearField("metadata_props")
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model
