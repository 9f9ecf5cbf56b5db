"""Convolutional network: a 5x5 convolution with stride 2, stages of 3x3 convolutions that each end with 2x2 pooling,
and one linear layer.

28 pixels become 12, 6 and 3 without a remainder, and pooling comes before normalisation and activation, so that these
run on a quarter of the pixels.
"""

from typing import Annotated

from pydantic import Field
from torch import nn

from pipeline.datasets.arrays import Shape
from pipeline.params import Count, Fraction
from pipeline.training.networks import fit, flat_size

__all__ = ["build", "fit"]

Stage = Annotated[list[Count], Field(min_length=1)]


def build(
    shape: Shape,
    classes: int,
    *,
    stem: Count,
    stages: Annotated[list[Stage], Field(min_length=1, max_length=6)],
    dropout: Fraction,
) -> nn.Sequential:
    """Return the network, (n, *shape) to (n, classes) logits.

    Args:
        stem: The number of channels of the first convolution.
        stages: For each stage, the number of channels of each of its convolutions.
        dropout: The fraction of the last layer's inputs to set to zero in each training step.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(shape.channels, stem, 5, stride=2, bias=False),
        nn.BatchNorm2d(stem),
        nn.GELU(),
    ]
    channels = stem
    for stage in stages:
        for number, wanted in enumerate(stage, 1):
            layers.append(nn.Conv2d(channels, wanted, 3, padding=1, bias=False))
            if number == len(stage):
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(wanted), nn.GELU()]
            channels = wanted
    layers += [nn.Flatten(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(flat_size(nn.Sequential(*layers), shape), classes))
