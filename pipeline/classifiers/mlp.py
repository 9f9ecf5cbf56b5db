"""Multi-layer perceptron: fully connected layers with batch normalisation."""

from typing import Annotated

from pydantic import Field
from torch import nn

from digits.interface import SIZE
from pipeline.params import Count, Fraction
from pipeline.training.networks import fit

__all__ = ["build", "fit"]


def build(*, hidden: Annotated[list[Count], Field(min_length=1)], dropout: Fraction) -> nn.Sequential:
    """Return the network, (n, 1, 28, 28) to (n, 10) logits.

    Args:
        hidden: The number of units in each hidden layer.
        dropout: The fraction of hidden units to set to zero in each training step.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in zip([SIZE * SIZE, *hidden], hidden, strict=False):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 10))
