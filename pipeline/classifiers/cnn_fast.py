"""Small convolutional network that trains in seconds: three convolutions and one linear layer, 19,000 parameters for
MNIST.

It does not see the outermost pixels. The first convolution has stride 2 and the second is pooled at once, so that most
of the work is done on 4x4 pixels.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from pipeline.datasets.arrays import Shape
from pipeline.training.networks import fit, flat_size

__all__ = ["build", "fit"]


class Crop(nn.Module):
    """Removes `width` pixels at each edge."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the middle of `images`, (n, channels, height - 2 * width, width - 2 * width)."""
        height, width = images.shape[2:]
        return images[:, :, self.width : height - self.width, self.width : width - self.width]


class FlattenChannelsLast(nn.Module):
    """Like nn.Flatten in another order, in which images of the memory format channels_last need not be copied."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (n, height * width * channels)."""
        return images.permute(0, 2, 3, 1).flatten(1)


def build(shape: Shape, classes: int, *, crop: Annotated[int, Field(ge=0)]) -> nn.Sequential:
    """Return the network, (n, *shape) to (n, classes) logits. The sizes in the comments are those for MNIST.

    Args:
        crop: The number of pixels to remove at each edge. Digits like those of MNIST have an empty border; images of
            datasets without digits are not cropped.
    """
    layers = nn.Sequential(
        Crop(crop),  # (n, 1, 24, 24)
        nn.Conv2d(shape.channels, 8, 5, stride=2, bias=False),  # (n, 8, 10, 10)
        nn.BatchNorm2d(8),
        nn.GELU(),
        nn.Conv2d(8, 24, 3, bias=False),
        nn.MaxPool2d(2),  # (n, 24, 4, 4)
        nn.BatchNorm2d(24),
        nn.GELU(),
        nn.Conv2d(24, 64, 3, bias=False),  # (n, 64, 2, 2)
        nn.BatchNorm2d(64),
        nn.GELU(),
        FlattenChannelsLast(),
    )
    return nn.Sequential(*layers, nn.Linear(flat_size(layers, shape), classes))
