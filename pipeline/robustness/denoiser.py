"""The denoiser: a small U-Net that restores corrupted images, trained on random corruptions.

Source of the architecture: Ronneberger, Fischer and Brox, U-Net (2015). The loss is the cross-entropy of each pixel
(Vincent et al., Stacked Denoising Autoencoders, 2010) plus that of an auxiliary classifier on the restored image, which
penalises changes of a digit into another. Besides digits the denoiser restores outliers, so that it does not turn
letters into digits.

A second output is the probability that the image is a corrupted digit. Whether outliers are corrupted is not learned.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, interpolate

from digits import checksums
from pipeline import json_file
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import to_onnx
from pipeline.onnx_graph.write import write_onnx
from pipeline.params import Canonicalizer as Settings
from pipeline.robustness.canonicalize import Canonicalizer
from pipeline.robustness.random_corruptions import change_width, corrupt_batch, move_batch
from pipeline.training import small_cnn
from pipeline.training.optimizer import minimise

OUTLIERS = 0.2  # fraction of a batch
MOVED, OTHER_WIDTH = 0.7, 0.15  # fraction of the images that are moved, and drawn with another stroke width, at first
NOTICEABLE = 0.003  # mean difference of pixels from which an image counts as corrupted
CLASS_LOSS, CORRUPTED_LOSS = 0.05, 0.05  # weights of the auxiliary losses; the pixels' has weight 1
AUXILIARY_WIDTH, AUXILIARY_STEPS = 16, 0.3  # channels of the auxiliary classifier; its steps, as a fraction
BATCH = 500  # images in a batch without gradients
WEIGHTS = "denoiser.safetensors"
ADVICE = "Delete it and run `dvc repro`."


class Denoiser(nn.Module):
    """Images (n, 1, 28, 28) in [0, 1] to the logits of the pixels of the restored image, (n, 1, 28, 28), and the logit
    (n, 1) of the probability that it is a corrupted digit.

    Convolutions see 14x14 and 7x7 positions only: each 2x2 block of pixels is one position with four channels. Mean and
    mean square of the image, and a dense layer in the middle, tell every position about the whole image.
    """

    def __init__(self, width: int) -> None:
        super().__init__()

        def layer(before: int, after: int, stride: int = 1) -> nn.Module:
            convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())

        self.width, deep = width, 2 * width
        self.blocks, self.pixels = nn.PixelUnshuffle(2), nn.PixelShuffle(2)
        self.encode = nn.Sequential(layer(6, width), layer(width, width))
        self.down = nn.Sequential(layer(width, deep, 2), layer(deep, deep))
        self.whole = nn.Sequential(nn.Flatten(), nn.Linear(deep * 7 * 7, deep), nn.ReLU())
        self.spread, self.corrupted = nn.Linear(deep, deep), nn.Linear(deep, 1)
        self.up = nn.Sequential(layer(deep, deep), nn.Conv2d(deep, width, 1, bias=False))
        self.decode = nn.Sequential(layer(width, width), layer(width, width), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits for `images`."""
        blocks = self.blocks(images)
        moments = torch.cat([images.mean((2, 3), keepdim=True), (images * images).mean((2, 3), keepdim=True)], 1)
        fine = self.encode(torch.cat([blocks, moments.expand(-1, 2, 14, 14)], 1))
        coarse = self.down(fine)
        whole = self.whole(coarse)
        up = self.up(coarse + self.spread(whole)[:, :, None, None])
        return self.pixels(self.decode(fine + interpolate(up, scale_factor=2.0))), self.corrupted(whole)


@dataclass(frozen=True)
class FittedDenoiser:
    """A fitted denoiser.

    Attributes:
        network: the denoiser.
        threshold: the logit of `corrupted` from which on an image is replaced by the restored one.
    """

    network: Denoiser
    threshold: float

    def save(self, folder: Path) -> None:
        """Write the canonicalizer with this denoiser to `folder`: as ONNX, as weights for `load`, and its metadata."""
        written = write_onnx(folder / "canonicalizer.onnx", to_onnx(self.canonicalizer(), "canonical"))
        weights = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        metadata = {
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "width": self.network.width,
            "threshold": self.threshold,
            "weights_sha256": checksums.sha256(folder / WEIGHTS),
        }
        json_file.write(folder / "canonicalizer.json", metadata | written)

    def canonicalizer(self) -> Canonicalizer:
        """Return the canonicalizer with this denoiser."""
        return Canonicalizer(self.network, self.threshold)


def load(folder: Path) -> Canonicalizer:
    """Return the canonicalizer that `FittedDenoiser.save` wrote to `folder`.

    Raises:
        InputError: a file is missing or damaged.
    """
    metadata = json_file.read(folder / "canonicalizer.json")
    checksums.verify(folder / WEIGHTS, metadata.get("weights_sha256"), ADVICE)
    network = Denoiser(metadata["width"])
    network.load_state_dict(load_file(folder / WEIGHTS))
    return Canonicalizer(network, metadata["threshold"])


def fit(digits: LabelledImages, outliers: np.ndarray, validation: np.ndarray, settings: Settings) -> FittedDenoiser:
    """Fit a denoiser. Random numbers come from torch's global generator.

    Args:
        digits: the training images.
        outliers: (n, 28, 28) uint8, images that are not digits.
        validation: (n, 28, 28) uint8, digits to set the threshold on.
    """
    size = settings.batch_size
    of_outliers = round(OUTLIERS * size)
    auxiliary = small_cnn.build(AUXILIARY_WIDTH, len(np.unique(digits.labels)))

    def drawn(images: np.ndarray, count: int) -> tuple[torch.Tensor, np.ndarray]:
        rows = torch.randint(len(images), (count,)).numpy()
        return torch.from_numpy(images[rows])[:, None].float() / 255, rows

    def auxiliary_loss() -> torch.Tensor:
        images, rows = drawn(digits.images, size)
        return cross_entropy(auxiliary(_varied(images)), _labels(digits, rows), label_smoothing=0.05)

    minimise(
        auxiliary,
        auxiliary_loss,
        steps=max(1, round(AUXILIARY_STEPS * settings.steps)),
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        description="auxiliary classifier",
    )
    auxiliary.requires_grad_(False)
    network = Denoiser(settings.width)

    def loss() -> torch.Tensor:
        images, rows = drawn(digits.images, size - of_outliers)
        clean = _varied(torch.cat([images, drawn(outliers, of_outliers)[0]]))
        corrupted = corrupt_batch(clean)
        restored, logits = network(corrupted)
        differs = ((corrupted - clean).abs().mean((1, 2, 3)) > NOTICEABLE).float()[: len(rows)]
        return (
            binary_cross_entropy_with_logits(restored, clean)
            + CLASS_LOSS * cross_entropy(auxiliary(torch.sigmoid(restored[: len(rows)])), _labels(digits, rows))
            + CORRUPTED_LOSS * binary_cross_entropy_with_logits(logits[: len(rows), 0], differs)
        )

    minimise(
        network,
        loss,
        steps=settings.steps,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        description="denoiser",
    )
    with torch.no_grad():
        batches = torch.tensor(validation)[:, None].split(BATCH)
        logits = np.sort(torch.cat([network(batch.float() / 255)[1] for batch in batches]).flatten().numpy())
    allowed = int(settings.max_changed * len(logits) + 1e-9)
    return FittedDenoiser(network, float(logits[len(logits) - 1 - allowed]))


def _labels(digits: LabelledImages, rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(digits.labels[rows].astype(np.int64))


def _varied(images: torch.Tensor) -> torch.Tensor:
    """Return a copy of `images`, most of them moved, some with another stroke width."""
    count = len(images)
    moved = torch.where(_some(count, MOVED), move_batch(images), images)
    return torch.where(_some(count, OTHER_WIDTH), change_width(moved), moved).clamp(0, 1)


def _some(count: int, fraction: float) -> torch.Tensor:
    return (torch.rand(count) < fraction).view(count, 1, 1, 1)
