"""What a person's eye does before it reads: a picture that is inverted, foggy, faint, noisy, blurred, small or off its
place becomes one like those of MNIST. Nothing in it is learned; it stands before every model, in its ONNX graph.

MNIST's own images, digits of 20x20 pixels bright on black, stay as they are, bit for bit: each step works on an image
only where a measure of it says so, and no training image does. Thresholds were set on those and on spoilt validation
images; docs/robustness.md says what it brings.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d, max_pool2d, relu

SIZE = 28
INVERTED = 0.6  # brightness of a column's ends, between the darkest (0) and the brightest pixel, that make it inverted
ENDS = 3  # pixels at the top and at the bottom of a column
WINDOW, STRIDE = 10, 6  # pixels: windows whose darkest pixel is background, 4x4 of them
LIT = 0.02  # mean background, from which on it is subtracted
FAINT = 0.9  # of the range: ink no brighter than that is made brighter
OUTSIDE = 14  # pixels from the middle: beyond, there is hardly ever ink
SPECK, NOISY = 0.1, 0.055  # brightness of a pixel out there that should not be; the share of those that is noise
SOFT = 0.25  # greatest difference of a pixel from those around it, below which an image is blurred
SHARPEN = 4.0  # how many times that difference is added to a blurred image
DARK, BRIGHT = 0.2, 0.6  # what becomes black and white in an image that was smoothed or sharpened
OFF = 1.5  # pixels from the middle to the centre of mass, each way; MNIST's are within one
SMALL, USUAL, LARGE = 3.6, 5.5, 7.4  # pixels: spread of ink below which, and above which, a digit gets the usual one

MANY = 1_000  # images at a time, to bound memory


def tidied(images: np.ndarray) -> np.ndarray:
    """Return `images`, (n, 28, 28) uint8, as a model sees them behind `Tidy`."""
    with torch.no_grad():
        batches = torch.tensor(images)[:, None].split(MANY)
        found = torch.cat([TIDY(batch.float() / 255) for batch in batches])
    return (found[:, 0] * 255).round().to(torch.uint8).numpy()


class Tidy(nn.Module):
    """Images (n, 1, 28, 28) float32 in [0, 1], ink bright on dark or not, to the same, tidied."""

    ends: torch.Tensor
    sides: torch.Tensor
    spreading: torch.Tensor
    outside: torch.Tensor
    around: torch.Tensor
    places: torch.Tensor
    powers: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        rows = torch.arange(SIZE)
        places = rows - (SIZE - 1) / 2
        nodes = torch.arange(4) * STRIDE + (WINDOW - 1) / 2
        ends = ((rows < ENDS) | (rows >= SIZE - ENDS)).float() / (2 * ENDS)
        sides = ((rows < ENDS)[:, None] & (places < 0) | (rows >= SIZE - ENDS)[:, None] & (places > 0)).float() / ENDS
        outside = (places[:, None] ** 2 + places**2).sqrt() > OUTSIDE
        binomial = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        between = (rows.clamp(nodes[0], nodes[-1])[:, None] - nodes).abs() / STRIDE
        self.register_buffer("ends", ends[None])  # (1, 28): the mean of both ends of each column
        self.register_buffer("sides", sides)  # (28, 28): for each column, the mean of those at its side's edge
        self.register_buffer("spreading", relu(1 - between))  # (28, 4): bilinear between the windows' middles
        self.register_buffer("outside", outside.float()[None, None] / outside.sum())  # (1, 1, 28, 28)
        self.register_buffer("around", (binomial[:, None] * binomial)[None, None])  # (1, 1, 5, 5)
        self.register_buffer("places", places)  # (28,) pixels from the middle
        self.register_buffer("powers", torch.stack([torch.ones(SIZE), places, places**2]))  # (3, 28)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return `images`, tidied."""
        return self._placed(self._cleared(self._stretched(self._lit(self._turned(images)))))

    def _turned(self, images: torch.Tensor) -> torch.Tensor:
        """Invert the columns whose ends are bright: all of them where ink is dark on bright."""
        darkest, brightest = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
        ends = self.ends @ images  # (n, 1, 1, 28)
        bright = torch.minimum(ends, ends @ self.sides) > darkest + INVERTED * (brightest - darkest)
        return torch.where(bright, darkest + brightest - images, images)

    def _lit(self, images: torch.Tensor) -> torch.Tensor:
        """Subtract the background: the darkest pixel of each window, bilinear between the windows."""
        darkest = -max_pool2d(-images, WINDOW, STRIDE)  # (n, 1, 4, 4)
        background = torch.where(darkest.mean((2, 3), keepdim=True) > LIT, darkest, 0.0)
        return relu(images - self.spreading @ background @ self.spreading.T)

    def _stretched(self, images: torch.Tensor) -> torch.Tensor:
        """Make faint ink as bright as white."""
        brightest = images.amax((2, 3), keepdim=True)
        return images / torch.where(brightest < FAINT, brightest.clamp(min=0.02), 1.0)

    def _cleared(self, images: torch.Tensor) -> torch.Tensor:
        """Smooth an image with specks far from its middle, sharpen one that is blurred, and clear its background."""
        noisy = ((images > SPECK) * self.outside).sum((2, 3), keepdim=True) > NOISY
        detail = images - conv2d(images, self.around, padding=2)
        soft = detail.amax((2, 3), keepdim=True) < SOFT
        changed = images + torch.where(noisy, -1.0, SHARPEN) * detail
        return torch.where(noisy | soft, ((changed - DARK) / (BRIGHT - DARK)).clamp(0, 1), images)

    def _placed(self, images: torch.Tensor) -> torch.Tensor:
        """Move a digit that is off the middle by whole pixels, and enlarge one that is small."""
        lines = torch.stack([images.sum((1, 3)), images.sum((1, 2))], 1)  # (n, 2, 28): ink in each row and column
        ink, first, second = (lines @ self.powers.T).split(1, 2)  # (n, 2, 1)
        ink = ink.clamp(min=1e-3)
        centre = first / ink
        spread = (second / ink - centre**2).amax(1, keepdim=True).clamp(min=1).sqrt()
        zoom = torch.where((spread < SMALL) | (spread > LARGE), spread / USUAL, 1.0)
        move = torch.where(centre.abs() > OFF, centre.round(), 0.0)
        source = self.places * zoom + move  # (n, 2, 28): where each row and column comes from
        weights = relu(1 - (source[:, :, :, None] - self.places).abs())  # (n, 2, 28, 28)
        return weights[:, :1] @ images @ weights[:, 1:].transpose(2, 3)


TIDY = Tidy().eval()
