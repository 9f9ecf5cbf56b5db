"""Convolutional network: a 5x5 convolution with stride 2, stages of convolutions that each end with 2x2 pooling, and
one linear layer; or several such networks with kernels of different sizes.

28 pixels become 12, 6 and 3 without a remainder, and pooling comes before normalisation and activation, so that these
run on a quarter of the pixels.
"""

from typing import Annotated, Literal

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
    kernel_sizes: Annotated[list[Literal[1, 3, 5, 7]], Field(min_length=1)],
    dropout: Fraction,
) -> nn.Module:
    """Return the network, (n, *shape) to (n, classes) logits, or a ModuleList of networks.

    Args:
        stem: The number of channels of the first convolution.
        stages: For each stage, the number of channels of each of its convolutions.
        kernel_sizes: The size of the kernels in the stages, for each network.
        dropout: The fraction of the last layer's inputs to set to zero in each training step.
    """
    networks = [_network(shape, classes, stem, stages, size, dropout) for size in kernel_sizes]
    return networks[0] if len(networks) == 1 else nn.ModuleList(networks)


def _network(
    shape: Shape, classes: int, stem: int, stages: list[list[int]], kernel_size: int, dropout: float
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(shape.channels, stem, 5, stride=2, bias=False),
        nn.BatchNorm2d(stem),
        nn.GELU(),
    ]
    channels = stem
    for stage in stages:
        for number, wanted in enumerate(stage, 1):
            layers.append(nn.Conv2d(channels, wanted, kernel_size, padding=kernel_size // 2, bias=False))
            if number == len(stage):
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(wanted), nn.GELU()]
            channels = wanted
    layers += [nn.Flatten(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(flat_size(nn.Sequential(*layers), shape), classes))
