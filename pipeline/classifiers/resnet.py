"""Residual network for small images: a 3x3 convolution without pooling, stages of residual blocks, each with half the
resolution and twice the channels of the one before, global average pooling and one linear layer.

`width: 64` and `blocks: [2, 2, 2, 2]` are ResNet-18. Source: He et al., Deep Residual Learning for Image Recognition
(2015), where stride 2 and max pooling in front suit images of 224x224 pixels.
"""

from typing import Annotated

from pydantic import Field
from torch import nn
from torchvision.models.resnet import BasicBlock

from pipeline.datasets.arrays import Shape
from pipeline.params import Count, Fraction
from pipeline.training.networks import fit

__all__ = ["build", "fit"]


def build(
    shape: Shape,
    classes: int,
    *,
    width: Annotated[int, Field(ge=8)],
    blocks: Annotated[list[Count], Field(min_length=1, max_length=6)],
    dropout: Fraction,
) -> nn.Sequential:
    """Return the network, (n, *shape) to (n, classes) logits.

    Args:
        width: The number of channels of the first stage. With fewer than 8, the gradient of a 1x1 convolution with
            stride 2 overwrites foreign memory on CPUs with AVX2 (oneDNN in torch 2.15), and training crashes.
        blocks: The number of residual blocks, of two convolutions each, in each stage.
        dropout: The fraction of the last layer's inputs to set to zero in each training step.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(shape.channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    channels = width
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage and not block else 1
            layers.append(residual_block(channels, width * 2**stage, stride))
            channels = width * 2**stage
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(channels, classes))


def residual_block(inputs: int, outputs: int, stride: int) -> BasicBlock:
    """Return a block from `inputs` to `outputs` channels; its shortcut is a 1x1 convolution where they differ."""
    if inputs == outputs:
        return BasicBlock(inputs, outputs)
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride, shortcut)
