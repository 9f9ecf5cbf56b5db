"""Networks around networks: standardisation, ensembles, test-time augmentation and temperature scaling."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import pad

SHIFTS = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))  # top and left of each crop of an image with one pixel of padding


class Standardise(nn.Module):
    """Subtracts the mean of the training pixels and divides by their std."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return standardised `images`."""
        return (images - self.mean) / self.std


class TemperatureScaling(nn.Module):
    """Divides logits by a temperature."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """Return `logits` divided by the temperature."""
        return logits / self.temperature


class Ensemble(nn.Module):
    """The mean logits of several networks, with equal or given weights; with `tta` also of the image and four copies
    shifted by one pixel; with `mirrored` also of all of these mirrored.
    """

    def __init__(
        self, networks: list[nn.Module], tta: bool, *, mirrored: bool = False, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.networks, self.tta, self.mirrored = nn.ModuleList(networks), tta, tta and mirrored
        self.weights = list(weights or [1 / len(networks)] * len(networks))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) for `images` (n, channels, height, width) in [0, 1]."""
        if self.tta:
            height, width = images.shape[2:]
            padded = pad(images, (1, 1, 1, 1))
            images = torch.cat([padded[:, :, top : top + height, left : left + width] for top, left in SHIFTS])
        if self.mirrored:
            images = torch.cat([images, images.flip(3)])
        logits = self.networks[0](images)
        if len(self.networks) > 1:
            each = [logits, *(network(images) for network in self.networks[1:])]
            logits = torch.stack([weight * one for weight, one in zip(self.weights, each, strict=True)]).sum(0)
        views = len(SHIFTS) * (1 + self.mirrored)
        return logits.view(views, -1, logits.shape[1]).mean(0) if self.tta else logits


def with_probabilities(network: nn.Module, temperature: float = 1.0) -> nn.Module:
    """Return `network`, from images to logits, extended by temperature scaling and softmax."""
    return nn.Sequential(network, TemperatureScaling(temperature), nn.Softmax(dim=1)).eval()
