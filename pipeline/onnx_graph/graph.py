"""Joining ONNX graphs: one before another, and one beside another."""

import onnx
from onnx.compose import add_prefix, merge_models

from digits.interface import INPUT


def prepend(model: onnx.ModelProto, before: onnx.ModelProto, prefix: str) -> onnx.ModelProto:
    """Return `model`, whose input is `images`, with `before`, from `images` to its one output, in front of it.

    Args:
        prefix: of the names of nodes and tensors of `before` in the result.
    """
    output = f"{prefix}{before.graph.output[0].name}"
    before = add_prefix(before, prefix)
    before.ir_version = model.ir_version
    joined = merge_models(before, model, [(output, INPUT)], name="digits")
    for node in joined.graph.node:
        node.input[:] = [INPUT if name == f"{prefix}{INPUT}" else name for name in node.input]
    joined.graph.input[0].name = INPUT
    return joined


def add_output(model: onnx.ModelProto, other: onnx.ModelProto, prefix: str) -> onnx.ModelProto:
    """Return `model` with the output of `other` as a further output; both take the same `images`.

    Args:
        prefix: of the names of nodes and tensors of `other` in the result, except its input and output.
    """
    output = other.graph.output[0].name
    joined, other = onnx.ModelProto(), add_prefix(other, prefix)
    joined.CopyFrom(model)
    unprefixed = {f"{prefix}{name}": name for name in (INPUT, output)}
    for node in other.graph.node:
        for names in (node.input, node.output):
            names[:] = [unprefixed.get(name, name) for name in names]
    other.graph.output[0].name = output
    joined.graph.node.extend(other.graph.node)
    joined.graph.initializer.extend(other.graph.initializer)
    joined.graph.value_info.extend(other.graph.value_info)
    joined.graph.output.extend(other.graph.output)
    joined.ir_version = max(model.ir_version, other.ir_version)
    return joined
