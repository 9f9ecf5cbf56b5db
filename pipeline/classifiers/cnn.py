"""Our convolutional network: a 5x5 convolution that halves the image, then stages of 3x3 convolutions, each of which
halves the maps at its end, and one linear layer.

No pixel is computed in vain: 28x28 becomes 12x12, 6x6 and 3x3 without a remainder, and pooling comes before
normalisation and activation.
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
        stem: channels after the first convolution.
        stages: for each stage, the channels after each of its convolutions.
        dropout: fraction of the last layer's inputs that is left out in each training step.
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
