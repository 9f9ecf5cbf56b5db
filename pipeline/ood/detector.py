"""The OOD detector: a small network that computes `digitness`, the probability that an image is a digit at all. Every
model's ONNX file contains it; there its input is the canonicalized image, like the classifier's.

It distinguishes eleven classes, ten digits and outliers, which gives better features than two classes. It is trained on
digits, on corrupted digits that the canonicalizer has restored, and on generated outliers (outlier exposure), see
`pipeline.ood.outliers`. Like `cnn`, it averages the logits of five shifted copies of an image (test-time augmentation).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from digits.interface import DIGITNESS
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import to_onnx
from pipeline.params import Augmentation, Detector
from pipeline.training import small_cnn
from pipeline.training.augmentation import perturb_strokes, warp
from pipeline.training.calibration import fit_temperature
from pipeline.training.ensemble import Ensemble
from pipeline.training.optimizer import minimise

OUTLIER = 10  # the class after the ten digits
RESTORED = 0.05  # fraction of the digits in a batch that are restored ones; more lets more letters pass
WARPED, WARPED_OUTLIERS = 0.75, 0.3  # fraction of the other digits, and of the outliers, that are warped
BATCH = 1_000  # images in a batch without gradients


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

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (n,) of the probabilities for `images` (n, 1, 28, 28) in [0, 1]."""
        classes = self.network(images)
        return torch.logsumexp(classes[:, :OUTLIER], 1) - classes[:, OUTLIER]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the probabilities for `images` (n, 1, 28, 28) in [0, 1]."""
        return torch.sigmoid(self.logits(images) / self.temperature)


def fit(
    digits: LabelledImages,
    restored: LabelledImages,
    outliers: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray],
    settings: Detector,
    policy: Augmentation,
) -> FittedDetector:
    """Fit a detector that tells `digits` from `outliers`. Random numbers come from torch's global generator.

    Args:
        digits: as they are published.
        restored: corrupted digits as they leave the canonicalizer.
        outliers: (n, 28, 28) uint8, canonicalized.
        held_out: digits and outliers (n, 28, 28) uint8, canonicalized, to which its temperature is fitted.
        policy: how digits are warped.
    """
    size = settings.batch_size
    of_restored = round(RESTORED * size)
    network = small_cnn.build(settings.width, OUTLIER + 1)

    def drawn(images: np.ndarray, count: int) -> tuple[torch.Tensor, np.ndarray]:
        rows = torch.randint(len(images), (count,)).numpy()
        return torch.from_numpy(images[rows])[:, None].float() / 255, rows

    def some_warped(images: torch.Tensor, fraction: float) -> torch.Tensor:
        return torch.where(torch.rand(len(images), 1, 1, 1) < fraction, warp(images, policy), images)

    def loss() -> torch.Tensor:
        clean, rows = drawn(digits.images, size - of_restored)
        old, old_rows = drawn(restored.images, of_restored)
        other, _ = drawn(outliers, size)
        images = torch.cat([some_warped(clean, WARPED), old, some_warped(other, WARPED_OUTLIERS)])
        perturbed = torch.rand(len(images), 1, 1, 1) < policy.stroke_style
        images = torch.where(perturbed, perturb_strokes(images), images)
        labels = [digits.labels[rows], restored.labels[old_rows], np.full(size, OUTLIER)]
        return cross_entropy(network(images), torch.from_numpy(np.concatenate(labels).astype(np.int64)))

    minimise(
        network,
        loss,
        steps=settings.steps,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        description="train_ood",
    )
    averaged = Ensemble([network], tta=True)
    with torch.no_grad():
        raw = Digitness(averaged, 1.0)
        logits = [
            torch.cat([raw.logits(batch.float() / 255) for batch in torch.tensor(images)[:, None].split(BATCH)])
            for images in held_out
        ]
    of_digits, of_outliers = (each.double().numpy() for each in logits)
    both = np.concatenate([of_digits, of_outliers])
    labels = np.repeat([1, 0], [len(of_digits), len(of_outliers)])
    temperature = fit_temperature(np.stack([np.zeros_like(both), both], axis=1), labels)
    digitness = tuple(1 / (1 + np.exp(-each / temperature)) for each in (of_digits, of_outliers))
    model = to_onnx(Digitness(averaged, temperature), DIGITNESS)
    return FittedDetector((digitness[0], digitness[1]), model, {"temperature": temperature})
