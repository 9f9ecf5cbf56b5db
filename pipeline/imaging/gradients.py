"""What a classical model sees better than pixels: in which directions the brightness changes, and where.

A histogram of oriented gradients, after Dalal and Triggs (2005) and, for digits, Maji and Malik: Fast and Accurate
Digit Classification (2009). As a torch module it trains scikit-learn's models and leaves with them in one ONNX graph.
"""

import math

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, pad, relu

DIRECTIONS = 8
SHARPNESS = 4  # how narrow a direction is: a gradient counts with the cosine of the angle between, to this power
CELL, STRIDE = 7, 3  # pixels: 8x8 overlapping cells
FEATURES = 8 * 8 * DIRECTIONS


class OrientedGradients(nn.Module):
    """Images, float32 (n, 1, 28, 28) in [0, 1], to rows of length 1, float32 (n, 512)."""

    directions: torch.Tensor  # (2, 8, 1, 1): across and down

    def __init__(self) -> None:
        super().__init__()
        angles = torch.arange(DIRECTIONS) * (2 * math.pi / DIRECTIONS)
        self.register_buffer("directions", torch.stack([angles.cos(), angles.sin()])[:, :, None, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of `images`."""
        wide = pad(images, (1, 1, 1, 1))
        across = wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]
        down = wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]
        length = (across * across + down * down).sqrt() + 1e-6
        along = relu(across * self.directions[0] + down * self.directions[1])
        cells = avg_pool2d(along * (along / length) ** (SHARPNESS - 1), CELL, STRIDE).flatten(1)
        return cells / (cells.norm(dim=1, keepdim=True) + 1e-6)
