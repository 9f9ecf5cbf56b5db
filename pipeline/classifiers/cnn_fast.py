"""A small convolutional network that learns in seconds: three convolutions and one linear layer, 23,000 parameters.

The first convolution halves the image, and the second shrinks and pools it, so that little work is left to do.
"""

from torch import nn

from pipeline.training.networks import fit

__all__ = ["build", "fit"]


def build() -> nn.Sequential:
    """Return the network, (n, 1, 28, 28) to (n, 10) logits."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, bias=False),  # (n, 16, 12, 12)
        nn.BatchNorm2d(16),
        nn.GELU(),
        nn.Conv2d(16, 32, 3, bias=False),
        nn.MaxPool2d(2),  # (n, 32, 5, 5)
        nn.BatchNorm2d(32),
        nn.GELU(),
        nn.Conv2d(32, 48, 3, bias=False),  # (n, 48, 3, 3)
        nn.BatchNorm2d(48),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(432, 10),
    )
