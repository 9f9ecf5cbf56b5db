"""The canonicalizer, the first part of every model's ONNX graph: it makes corrupted, small, large or misplaced digits
look like MNIST's.

A learned denoiser restores images that it takes for corrupted; other images pass through unchanged. Then digits that
are off centre are moved, and small and large ones are scaled, both computed from moments of the ink. No image of MNIST
is moved or scaled.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import relu

from digits.interface import SIZE
from pipeline.training.numerics import sqrt

OFF_CENTRE = 1.5  # pixels from the centre to the centre of mass, in each direction; at most 1 in MNIST
SMALL, USUAL, LARGE = 3.6, 5.5, 7.4  # pixels: std of the ink's position; smaller and larger digits are scaled to USUAL

BATCH = 1_000  # images at a time; bounds memory


def centre_and_scale(images: np.ndarray) -> np.ndarray:
    """Return `images`, (n, 28, 28) uint8, as they leave `CentreAndScale`."""
    return apply(CentreAndScale(), images)


def apply(module: nn.Module, images: np.ndarray) -> np.ndarray:
    """Return what `module`, from images to images, makes of `images`: (n, 28, 28) uint8 to the same.

    torch gives the same bytes on all CPUs; ONNX Runtime does not.
    """
    with torch.no_grad():
        found = torch.cat([module.eval()(part.float() / 255) for part in torch.tensor(images)[:, None].split(BATCH)])
    return (found[:, 0] * 255).round().to(torch.uint8).numpy()


class CentreAndScale(nn.Module):
    """Moves digits that are off centre by whole pixels, and scales small and large ones to the usual size."""

    positions: torch.Tensor
    powers: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        positions = torch.arange(SIZE) - (SIZE - 1) / 2
        self.register_buffer("positions", positions)  # (28,) pixels from the centre
        self.register_buffer("powers", torch.stack([torch.ones(SIZE), positions, positions**2]))  # (3, 28)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the moved and scaled `images`, (n, 1, 28, 28) in [0, 1], bright ink on dark."""
        lines = torch.stack([images.sum((1, 3)), images.sum((1, 2))], 1)  # (n, 2, 28): ink in each row and column
        ink, first, second = (lines @ self.powers.T).split(1, 2)  # (n, 2, 1): moments
        ink = ink.clamp(min=1e-3)
        centre = first / ink
        variance = (second / ink - centre**2).amax(1, keepdim=True).clamp(min=1)
        std = sqrt(variance)
        zoom = torch.where((std < SMALL) | (std > LARGE), std / USUAL, 1.0)
        move = torch.where(centre.abs() > OFF_CENTRE, centre.round(), 0.0)
        source = self.positions * zoom + move  # (n, 2, 28): where each row and column comes from
        weights = relu(1 - (source[:, :, :, None] - self.positions).abs())  # (n, 2, 28, 28)
        return weights[:, :1] @ images @ weights[:, 1:].transpose(2, 3)


class Canonicalizer(nn.Module):
    """Images (n, 1, 28, 28) float32 in [0, 1], as corrupted as they may be, to canonical ones.

    Args:
        denoiser: see `pipeline.robustness.denoiser.Denoiser`.
        threshold: the logit from which on an image counts as corrupted.
    """

    def __init__(self, denoiser: nn.Module, threshold: float) -> None:
        super().__init__()
        self.denoiser, self.threshold, self.centre_and_scale = denoiser, threshold, CentreAndScale()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return canonical `images`."""
        restored, corrupted = self.denoiser(images)
        chosen = torch.where(corrupted[:, :, None, None] > self.threshold, torch.sigmoid(restored), images)
        canonical: torch.Tensor = self.centre_and_scale(chosen)
        return canonical
