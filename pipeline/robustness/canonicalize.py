"""The canonicalizer: fixed operations that make inverted, foggy, faint, noisy, blurred, small or misplaced digits look
like MNIST's. It is the first part of every model's ONNX graph. Nothing in it is learned.

Each operation applies only to images for which a measurement exceeds a threshold. No image of MNIST does, so MNIST is
unchanged, bit for bit. The thresholds were set on the training images and on corrupted validation images;
docs/robustness.md has the results.
"""

from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d, max_pool2d, relu

from digits.interface import SIZE

INVERTED = 0.6  # of the brightness range: a column whose ends are brighter is inverted
ENDS = 3  # pixels at the top and at the bottom of a column
WINDOW, STRIDE = 10, 6  # pixels: 4x4 windows, whose darkest pixel is background
MIN_BACKGROUND = 0.02  # mean background from which on it is subtracted
FAINT = 0.9  # brightness of the brightest pixel up to which contrast is stretched
RADIUS = 14  # pixels from the centre beyond which there is hardly ever ink
SPECK, NOISY = 0.1, 0.055  # brightness of a speck beyond that radius; the fraction of specks that counts as noise
SOFT = 0.25  # largest difference of a pixel from its neighbourhood in a blurred image
SHARPEN = 4.0  # how many times that difference is added to a blurred image
BLACK, WHITE = 0.2, 0.6  # values that become 0 and 1 in smoothed or sharpened images
OFF_CENTRE = 1.5  # pixels from the centre to the centre of mass, in each direction; at most 1 in MNIST
SMALL, USUAL, LARGE = 3.6, 5.5, 7.4  # pixels: std of the ink's position; smaller and larger digits are scaled to USUAL

BATCH = 1_000  # images at a time; bounds memory


def canonicalize(images: np.ndarray) -> np.ndarray:
    """Return `images`, (n, 28, 28) uint8, as they leave the canonicalizer."""
    with torch.no_grad():
        batches = torch.tensor(images)[:, None].split(BATCH)
        canonical = torch.cat([_canonicalizer()(batch.float() / 255) for batch in batches])
    return (canonical[:, 0] * 255).round().to(torch.uint8).numpy()


@cache
def _canonicalizer() -> "Canonicalizer":
    return Canonicalizer().eval()


class Canonicalizer(nn.Module):
    """Images (n, 1, 28, 28) float32 in [0, 1], bright ink on dark or the reverse, to canonical ones."""

    ends: torch.Tensor
    sides: torch.Tensor
    interpolation: torch.Tensor
    outside: torch.Tensor
    kernel: torch.Tensor
    positions: torch.Tensor
    powers: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        rows = torch.arange(SIZE)
        positions = rows - (SIZE - 1) / 2
        nodes = torch.arange(4) * STRIDE + (WINDOW - 1) / 2
        ends = ((rows < ENDS) | (rows >= SIZE - ENDS)).float() / (2 * ENDS)
        left = (rows < ENDS)[:, None] & (positions < 0)
        right = (rows >= SIZE - ENDS)[:, None] & (positions > 0)
        outside = positions[:, None] ** 2 + positions**2 > RADIUS**2
        binomial = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        distance = (rows.clamp(nodes[0], nodes[-1])[:, None] - nodes).abs() / STRIDE
        self.register_buffer("ends", ends[None])  # (1, 28): mean of both ends of each column
        self.register_buffer("sides", (left | right).float() / ENDS)  # (28, 28): for each column, the mean at its side
        self.register_buffer("interpolation", relu(1 - distance))  # (28, 4): bilinear between the windows' centres
        self.register_buffer("outside", outside.float()[None, None] / outside.sum())  # (1, 1, 28, 28)
        self.register_buffer("kernel", (binomial[:, None] * binomial)[None, None])  # (1, 1, 5, 5)
        self.register_buffer("positions", positions)  # (28,) pixels from the centre
        self.register_buffer("powers", torch.stack([torch.ones(SIZE), positions, positions**2]))  # (3, 28)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return canonical `images`."""
        lit = self._stretch_contrast(self._subtract_background(self._invert(images)))
        return self._centre_and_scale(self._denoise_or_sharpen(lit))

    def _invert(self, images: torch.Tensor) -> torch.Tensor:
        """Invert columns whose ends are bright: all of them if ink is dark on bright."""
        darkest, brightest = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
        ends = self.ends @ images  # (n, 1, 1, 28)
        bright = torch.minimum(ends, ends @ self.sides) > darkest + INVERTED * (brightest - darkest)
        return torch.where(bright, darkest + brightest - images, images)

    def _subtract_background(self, images: torch.Tensor) -> torch.Tensor:
        """Subtract the background: the darkest pixel of each window, interpolated between windows."""
        darkest = -max_pool2d(-images, WINDOW, STRIDE)  # (n, 1, 4, 4)
        background = torch.where(darkest.mean((2, 3), keepdim=True) > MIN_BACKGROUND, darkest, 0.0)
        return relu(images - self.interpolation @ background @ self.interpolation.T)

    def _stretch_contrast(self, images: torch.Tensor) -> torch.Tensor:
        """Scale faint images to a maximum of 1."""
        brightest = images.amax((2, 3), keepdim=True)
        return images / torch.where(brightest < FAINT, brightest.clamp(min=0.02), 1.0)

    def _denoise_or_sharpen(self, images: torch.Tensor) -> torch.Tensor:
        """Smooth images with specks far from the centre, sharpen blurred ones, and clear the background of both."""
        noisy = ((images > SPECK) * self.outside).sum((2, 3), keepdim=True) > NOISY
        detail = images - conv2d(images, self.kernel, padding=2)
        soft = detail.amax((2, 3), keepdim=True) < SOFT
        changed = images + torch.where(noisy, -1.0, SHARPEN) * detail
        return torch.where(noisy | soft, ((changed - BLACK) / (WHITE - BLACK)).clamp(0, 1), images)

    def _centre_and_scale(self, images: torch.Tensor) -> torch.Tensor:
        """Move digits that are off centre by whole pixels, and scale small and large ones to the usual size."""
        lines = torch.stack([images.sum((1, 3)), images.sum((1, 2))], 1)  # (n, 2, 28): ink in each row and column
        ink, first, second = (lines @ self.powers.T).split(1, 2)  # (n, 2, 1): moments
        ink = ink.clamp(min=1e-3)
        centre = first / ink
        std = (second / ink - centre**2).amax(1, keepdim=True).clamp(min=1).sqrt()
        zoom = torch.where((std < SMALL) | (std > LARGE), std / USUAL, 1.0)
        move = torch.where(centre.abs() > OFF_CENTRE, centre.round(), 0.0)
        source = self.positions * zoom + move  # (n, 2, 28): where each row and column comes from
        weights = relu(1 - (source[:, :, :, None] - self.positions).abs())  # (n, 2, 28, 28)
        return weights[:, :1] @ images @ weights[:, 1:].transpose(2, 3)
