"""Multi-layer perceptron: fully connected layers with batch normalisation."""

from typing import Annotated

from pydantic import Field
from torch import nn

from pipeline.datasets.arrays import Shape
from pipeline.params import Count, Fraction
from pipeline.training.networks import fit

__all__ = ["build", "fit"]


def build(
    shape: Shape, classes: int, *, hidden: Annotated[list[Count], Field(min_length=1)], dropout: Fraction
) -> nn.Sequential:
    """Return the network, (n, *shape) to (n, classes) logits.

    Args:
        hidden: The number of units in each hidden layer.
        dropout: The fraction of hidden units to set to zero in each training step.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in zip([shape.pixels, *hidden], hidden, strict=False):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], classes))
