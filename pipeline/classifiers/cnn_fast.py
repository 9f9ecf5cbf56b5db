"""Small convolutional network that trains in seconds: three convolutions and one linear layer, 17,000 parameters.

The first convolution has stride 2 and the second is pooled at once, so that most of the work is done on 5x5 pixels.
"""

from torch import nn

from pipeline.training.networks import fit

__all__ = ["build", "fit"]


def build() -> nn.Sequential:
    """Return the network, (n, 1, 28, 28) to (n, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, bias=False),  # (n, 8, 12, 12)
        nn.BatchNorm2d(8),
        nn.GELU(),
        nn.Conv2d(8, 24, 3, bias=False),
        nn.MaxPool2d(2),  # (n, 24, 5, 5)
        nn.BatchNorm2d(24),
        nn.GELU(),
        nn.Conv2d(24, 48, 3, bias=False),  # (n, 48, 3, 3)
        nn.BatchNorm2d(48),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(432, 10),
    )
