"""A small network that tells digits from everything else. Every model has it beside it in its ONNX file, as the output
`digitness`, so that a scribble is not read as a sure 8.

It learns from digits and from pictures of what is none, see `pipeline.imaging.nondigits`, both changed in place, shape
and stroke as people's own pictures are; what it rejects is decided on validation digits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx.compose import add_prefix
from rich.progress import track
from torch import nn
from torch.nn.functional import cross_entropy

from pipeline.artifact import DIGITNESS, INPUT
from pipeline.imaging.augmentation import augment, restyle
from pipeline.params import Augmentation, Gate
from pipeline.training.calibration import fit_temperature
from pipeline.training.export import to_onnx

CHANGES = Augmentation(
    shift=2.0, rotation=15.0, scale=0.2, shear=0.25, elastic=0.6, flags=0.0, pens=0.0, copies=1
)  # wider than a model's
BATCH = 128  # digits in a step, and as many non-digits
UNCHANGED = 32  # of these digits, in place and shape
LR, WEIGHT_DECAY = 0.01, 0.01


@dataclass(frozen=True)
class Learned:
    """The gate as ONNX, from `images` to `digitness` (n,) in [0, 1], and facts for its model.json."""

    model: onnx.ModelProto
    facts: dict[str, Any]


def build(width: int) -> nn.Module:
    """Return a network from images (n, 1, 28, 28) in [0, 1] to logits (n, 2): no digit, digit."""

    def stage(before: int, after: int, padding: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, padding=padding), nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.GELU()]

    layers = [*stage(1, width, 1), *stage(width, 2 * width, 1), *stage(2 * width, 4 * width, 0)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * 2 * 2, 2))


def learn(network: nn.Module, digits: np.ndarray, others: np.ndarray, epochs: int) -> None:
    """Let `network` tell `digits` from `others`, both (n, 28, 28) uint8, in `epochs` passes over `others`."""
    network.train().to(memory_format=torch.channels_last)
    steps = max(1, epochs * len(others) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), LR, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps)
    labels = torch.tensor([1] * BATCH + [0] * BATCH)
    for _ in track(range(steps), "gate", transient=True):
        some = (torch.from_numpy(split[np.asarray(torch.randint(len(split), (BATCH,)))]) for split in (digits, others))
        images = torch.cat(list(some))[:, None].float() / 255
        images = restyle(torch.cat([images[:UNCHANGED], augment(images[UNCHANGED:BATCH], CHANGES), images[BATCH:]]))
        loss = cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()


def fit(digits: np.ndarray, others: np.ndarray, held_out: tuple[np.ndarray, np.ndarray], settings: Gate) -> Learned:
    """Return a gate that learned to tell `digits` from `others`.

    Args:
        digits, others: (n, 28, 28) uint8.
        held_out: digits and others that it does not learn from; threshold and temperature are fitted to them.
        settings: of params.yaml.
    """
    network = build(settings.width)
    learn(network, digits, others, settings.epochs)
    with torch.no_grad():
        scores = [network(torch.tensor(images)[:, None].float() / 255).double().numpy() for images in held_out]
    labels = np.repeat([1, 0], [len(images) for images in held_out])
    temperature = fit_temperature(np.concatenate(scores), labels)
    digitness = [1 / (1 + np.exp((score[:, 0] - score[:, 1]) / temperature)) for score in scores]
    threshold = round(float(np.quantile(digitness[0], settings.rejected, method="lower")), 4)
    facts = {
        "threshold": threshold,
        "rejected_digits": round(float((digitness[0] < threshold).mean()), 4),
        "rejected_others": round(float((digitness[1] < threshold).mean()), 4),
    }
    return Learned(to_onnx(Digitness(network, temperature), DIGITNESS), facts)


class Digitness(nn.Module):
    """The probability of `network` that an image is a digit, (n,), cooled by `temperature`."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the probabilities for `images` (n, 1, 28, 28) in [0, 1]."""
        logits = self.network(images) / self.temperature
        return torch.sigmoid(logits[:, 1] - logits[:, 0])


def beside(model: onnx.ModelProto, gate: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with the gate's output as a second one; both read the same images."""
    joined, other = onnx.ModelProto(), add_prefix(gate, "gate_")
    joined.CopyFrom(model)
    same = {f"gate_{name}": name for name in (INPUT, DIGITNESS)}
    for node in other.graph.node:
        for names in (node.input, node.output):
            names[:] = [same.get(name, name) for name in names]
    other.graph.output[0].name = DIGITNESS
    joined.graph.node.extend(other.graph.node)
    joined.graph.initializer.extend(other.graph.initializer)
    joined.graph.value_info.extend(other.graph.value_info)
    joined.graph.output.extend(other.graph.output)
    joined.ir_version = max(model.ir_version, gate.ir_version)
    return joined
