"""Convolutional network: a 5x5 convolution with stride 2, stages of 3x3 convolutions that each end with 2x2 pooling,
and one linear layer.

The sizes 28, 12, 6 and 3 divide without a remainder, and pooling comes before normalisation and activation, so that
these run on a quarter of the pixels.
"""

from typing import Annotated

from pydantic import Field
from torch import nn

from pipeline.params import Count, Fraction
from pipeline.training.networks import fit

__all__ = ["build", "fit"]

Stage = Annotated[list[Count], Field(min_length=1)]


def build(
    *, stem: Count, stages: Annotated[list[Stage], Field(min_length=1, max_length=3)], dropout: Fraction
) -> nn.Sequential:
    """Return the network, (n, 1, 28, 28) to (n, 10) logits.

    Args:
        stem: The number of channels of the first convolution.
        stages: For each stage, the number of channels of each of its convolutions.
        dropout: The fraction of the last layer's inputs to set to zero in each training step.
    """
    layers: list[nn.Module] = [nn.Conv2d(1, stem, 5, stride=2, bias=False), nn.BatchNorm2d(stem), nn.GELU()]
    channels, side = stem, 12
    for stage in stages:
        for number, wanted in enumerate(stage, 1):
            layers.append(nn.Conv2d(channels, wanted, 3, padding=1, bias=False))
            if number == len(stage):
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(wanted), nn.GELU()]
            channels = wanted
        side //= 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels * side * side, 10))
