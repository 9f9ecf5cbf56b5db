"""A small convolutional network: three stages of a 3x3 convolution, 2x2 pooling, normalisation and activation, and one
linear layer. Pooling comes first, so that the other two run on a quarter of the pixels.
"""

from torch import nn


def build(width: int, outputs: int) -> nn.Module:
    """Return a network from images (n, 1, 28, 28) in [0, 1] to logits (n, outputs).

    Args:
        width: the number of channels of the first stage; each further stage has twice as many.
        outputs: the number of classes.
    """

    def stage(before: int, after: int, padding: int) -> list[nn.Module]:
        convolution = nn.Conv2d(before, after, 3, padding=padding, bias=False)
        return [convolution, nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.GELU()]

    layers = [*stage(1, width, 1), *stage(width, 2 * width, 1), *stage(2 * width, 4 * width, 0)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * 2 * 2, outputs))
