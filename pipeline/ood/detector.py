"""The OOD detector: a small network that computes `digitness`, the probability that an image is a digit at all. Every
model's ONNX file contains it; there its input is the canonicalized image, like the classifier's.

It is trained on digits and on generated outliers (outlier exposure), see `pipeline.ood.outliers`. Digits are also
shifted, rotated, scaled, sheared and elastically displaced; the strokes of both are perturbed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from rich.progress import track
from torch import nn
from torch.nn.functional import cross_entropy

from digits.interface import DIGITNESS
from pipeline.onnx_graph.export import to_onnx
from pipeline.params import Augmentation, Detector
from pipeline.training.augmentation import perturb_strokes, warp
from pipeline.training.calibration import fit_temperature


@dataclass(frozen=True)
class FittedDetector:
    """A fitted detector.

    Attributes:
        digitness: of the held-out digits and outliers, (n,) float64 each.
        model: as ONNX, from `images` to `digitness` (n,) in [0, 1].
        metadata: its temperature.
    """

    digitness: tuple[np.ndarray, np.ndarray]
    model: onnx.ModelProto
    metadata: dict[str, Any]


class Digitness(nn.Module):
    """The calibrated probability (n,) that an image is a digit."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the probabilities for `images` (n, 1, 28, 28) in [0, 1]."""
        logits = self.network(images) / self.temperature
        return torch.sigmoid(logits[:, 1] - logits[:, 0])


def build(width: int) -> nn.Module:
    """Return a network from images (n, 1, 28, 28) in [0, 1] to logits (n, 2): outlier, digit."""

    def stage(before: int, after: int, padding: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, padding=padding), nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.GELU()]

    layers = [*stage(1, width, 1), *stage(width, 2 * width, 1), *stage(2 * width, 4 * width, 0)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * 2 * 2, 2))


def train(
    network: nn.Module, digits: np.ndarray, outliers: np.ndarray, settings: Detector, policy: Augmentation
) -> None:
    """Train `network` to tell `digits` from `outliers`, both (n, 28, 28) uint8. The policy's upstrokes are not used."""
    network.train().to(memory_format=torch.channels_last)
    size = settings.batch_size
    steps = max(1, settings.epochs * len(outliers) // size)
    adamw = torch.optim.AdamW(network.parameters(), settings.lr, weight_decay=settings.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adamw, settings.lr, total_steps=steps)
    labels = torch.tensor([1] * size + [0] * size)
    unwarped = size - round(settings.warped * size)
    for _ in track(range(steps), "train_ood", transient=True):
        drawn = (torch.from_numpy(part[np.asarray(torch.randint(len(part), (size,)))]) for part in (digits, outliers))
        images = torch.cat(list(drawn))[:, None].float() / 255
        warped = warp(images[unwarped:size], policy)
        images = torch.cat([images[:unwarped], warped, images[size:]])
        perturbed = torch.rand(len(images), 1, 1, 1) < policy.stroke_style
        images = torch.where(perturbed, perturb_strokes(images), images)
        loss = cross_entropy(network(images), labels)
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        schedule.step()
    network.eval()


def fit(
    digits: np.ndarray,
    outliers: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray],
    settings: Detector,
    policy: Augmentation,
) -> FittedDetector:
    """Fit a detector that tells `digits` from `outliers`, (n, 28, 28) uint8.

    Args:
        held_out: digits and outliers to which its temperature is fitted.
    """
    network = build(settings.width)
    train(network, digits, outliers, settings, policy)
    with torch.no_grad():
        logits = [network(torch.tensor(images)[:, None].float() / 255).double().numpy() for images in held_out]
    labels = np.repeat([1, 0], [len(images) for images in held_out])
    temperature = fit_temperature(np.concatenate(logits), labels)
    of_digits, of_outliers = (1 / (1 + np.exp((each[:, 0] - each[:, 1]) / temperature)) for each in logits)
    model = to_onnx(Digitness(network, temperature), DIGITNESS)
    return FittedDetector((of_digits, of_outliers), model, {"temperature": temperature})
