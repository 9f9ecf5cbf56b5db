"""Histograms of oriented gradients, as a torch module: it computes the features that scikit-learn's models are fitted
to and becomes a part of their ONNX graph.

Sources: Dalal and Triggs, Histograms of Oriented Gradients for Human Detection (2005); for digits Maji and Malik, Fast
and Accurate Digit Classification (2009).
"""

import math

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, pad, relu

from pipeline.training.numerics import sqrt

ORIENTATIONS = 8
POWER = 4  # a gradient counts with cosine(angle to the orientation) to this power
CELLS = 8  # at most, in each direction
CELL = 4  # times the size of a cell is the size of the image: cells overlap


class OrientedGradients(nn.Module):
    """Images, float32 (n, channels, height, width) in [0, 1], to rows of unit length, float32 (n, features): 512 for
    MNIST, whose 28 pixels are divided into eight cells of seven pixels that overlap. Channels are averaged.
    """

    orientations: torch.Tensor  # (2, 8, 1, 1): x and y

    def __init__(self) -> None:
        super().__init__()
        angles = torch.arange(ORIENTATIONS) * (2 * math.pi / ORIENTATIONS)
        self.register_buffer("orientations", torch.stack([angles.cos(), angles.sin()])[:, :, None, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of `images`."""
        if images.shape[1] > 1:
            images = images.mean(1, keepdim=True)
        padded = pad(images, (1, 1, 1, 1))
        x = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
        y = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
        magnitude = sqrt(x * x + y * y) + 1e-6
        along = relu(x * self.orientations[0] + y * self.orientations[1])
        cell = [max(1, round(side / CELL)) for side in images.shape[2:]]
        stride = [max(1, (side - size) // (CELLS - 1)) for side, size in zip(images.shape[2:], cell, strict=True)]
        cells = avg_pool2d(along * (along / magnitude) ** (POWER - 1), cell, stride)[:, :, :CELLS, :CELLS].flatten(1)
        return cells / (cells.norm(dim=1, keepdim=True) + 1e-6)
