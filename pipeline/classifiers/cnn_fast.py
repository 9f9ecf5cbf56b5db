"""Small convolutional network that trains in seconds: three convolutions and one linear layer, 27,000 parameters for
MNIST.

The first convolution has stride 2 and the second is pooled at once, so that most of the work is done on 5x5 pixels.
"""

from torch import nn

from pipeline.datasets.arrays import Shape
from pipeline.training.networks import fit, flat_size

__all__ = ["build", "fit"]


def build(shape: Shape, classes: int) -> nn.Sequential:
    """Return the network, (n, *shape) to (n, classes) logits. The sizes in the comments are those for 28x28 pixels."""
    convolutions = nn.Sequential(
        nn.Conv2d(shape.channels, 8, 5, stride=2, bias=False),  # (n, 8, 12, 12)
        nn.BatchNorm2d(8),
        nn.GELU(),
        nn.Conv2d(8, 32, 3, bias=False),
        nn.MaxPool2d(2),  # (n, 32, 5, 5)
        nn.BatchNorm2d(32),
        nn.GELU(),
        nn.Conv2d(32, 64, 3, bias=False),  # (n, 64, 3, 3)
        nn.BatchNorm2d(64),
        nn.GELU(),
        nn.Flatten(),
    )
    return nn.Sequential(*convolutions, nn.Linear(flat_size(convolutions, shape), classes))
