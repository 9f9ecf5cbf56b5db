"""Our convolutional network: three convolutions and one linear layer, 105,000 parameters at width 32.

The first convolution halves the image, and pooling comes before normalisation and activation, so that most of the
work is done on small maps.
"""

from torch import nn

from pipeline.params import Count, Fraction
from pipeline.training.networks import fit

__all__ = ["build", "fit"]


def build(*, width: Count, dropout: Fraction) -> nn.Sequential:
    """Return the network, (n, 1, 28, 28) to (n, 10) logits.

    Args:
        width: channels after the first convolution; doubled by each of the next two.
        dropout: fraction of the last layer's inputs that is left out in each training step.
    """
    return nn.Sequential(
        nn.Conv2d(1, width, 4, stride=2, padding=1, bias=False),  # (n, width, 14, 14)
        nn.BatchNorm2d(width),
        nn.GELU(),
        nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
        nn.MaxPool2d(2),  # (n, 2 width, 7, 7)
        nn.BatchNorm2d(2 * width),
        nn.GELU(),
        nn.Conv2d(2 * width, 4 * width, 3, padding=1, bias=False),
        nn.MaxPool2d(2),  # (n, 4 width, 3, 3)
        nn.BatchNorm2d(4 * width),
        nn.GELU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(4 * width * 9, 10),
    )
