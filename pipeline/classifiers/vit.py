"""Vision transformer small enough for a CPU: overlapping patches with learned positions, transformer layers, the mean
over all patches, and one linear layer.

Sources: Dosovitskiy et al., An Image is Worth 16x16 Words (2020); overlapping patches, which cover images of any size:
Wang et al., PVT v2 (2021); the mean instead of a class token: Beyer et al., Better plain ViT baselines for ImageNet-1k
(2022).
"""

import torch
from torch import nn

from pipeline.datasets.arrays import Shape
from pipeline.params import Count, Fraction
from pipeline.training.networks import fit

__all__ = ["build", "fit"]

HIDDEN = 2  # times the width of the network is the width of the hidden layer after each attention
POSITION_STD = 0.02  # of the initial positions


def build(
    shape: Shape,
    classes: int,
    *,
    patch: Count,
    depth: Count,
    heads: Count,
    head_width: Count,
    dropout: Fraction,
) -> nn.Module:
    """Return the network, (n, *shape) to (n, classes) logits.

    Args:
        patch: The distance of neighbouring patches in pixels; a patch is 2 * patch - 1 pixels wide. Time grows with
            the number of patches, and that of attention with its square: 49 for 28x28 pixels and patch 4.
        depth: The number of transformer layers.
        heads: The number of attention heads in each layer.
        head_width: The number of values of a patch per head; the width of the network is heads * head_width.
        dropout: The fraction of attention weights, hidden units and outputs of each layer to set to zero in each
            training step.
    """
    return VisionTransformer(shape, classes, patch, depth, heads, head_width, dropout)


class VisionTransformer(nn.Module):
    """A vision transformer, see `build`."""

    def __init__(
        self, shape: Shape, classes: int, patch: int, depth: int, heads: int, head_width: int, dropout: float
    ) -> None:
        super().__init__()
        width = heads * head_width
        self.patches = nn.Conv2d(shape.channels, width, 2 * patch - 1, stride=patch, padding=patch - 1)
        count = -(-shape.height // patch) * -(-shape.width // patch)  # rounded up
        self.positions = nn.Parameter(torch.empty(count, width))
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    width, heads, HIDDEN * width, dropout, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights that no module with `reset_parameters` of its own has."""
        nn.init.normal_(self.positions, std=POSITION_STD)
        for module in self.modules():
            if isinstance(module, nn.MultiheadAttention):
                nn.init.xavier_uniform_(module.in_proj_weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) for `images` (n, *shape)."""
        patches = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.layers(patches)).mean(1))
