"""What others do, written anew from their published descriptions, as bare PyTorch loops; and our own network in such a
loop, to see what the engine around it costs.

A recipe is a function of (train, held out, mean and spread of the pixels, seed) that yields (seconds of training so
far, accuracy on the images held out) after each epoch. The clock stands still while it measures.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu

from pipeline import classifiers, params
from pipeline.datasets.arrays import LabelledImages
from pipeline.training.augmentation import vary
from pipeline.training.networks import BETAS, MANY, ShuffledBatches

Recipe = Callable[[LabelledImages, LabelledImages, tuple[float, float], int], Iterator[tuple[float, float]]]


class PytorchExample(nn.Module):
    """PyTorch's own MNIST example (pytorch/examples, mnist): two convolutions, 1.2 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.linear1, self.linear2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        maps = nn.functional.max_pool2d(relu(self.conv2(relu(self.conv1(images)))), 2)
        return self.linear2(self.dropout2(relu(self.linear1(self.dropout1(maps).flatten(1)))))


def pytorch_example(
    train: LabelledImages, held_out: LabelledImages, pixels: tuple[float, float], seed: int
) -> Iterator[tuple[float, float]]:
    """Batches of 64, Adadelta, learning rate 1, times 0.7 after each epoch. The first 4 of its 14 epochs."""
    torch.manual_seed(seed)
    network = PytorchExample()
    optimizer = torch.optim.Adadelta(network.parameters(), 1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.7)
    for seconds in _epochs(network, optimizer, train, pixels, seed, epochs=4, batch_size=64):
        schedule.step()
        yield seconds, accuracy(network, held_out, pixels)


def train_mnist_fast(
    train: LabelledImages, held_out: LabelledImages, pixels: tuple[float, float], seed: int
) -> Iterator[tuple[float, float]]:
    """One epoch of one cycle, pooling before the activation: the fastest published way to 99% known to us."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 24, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(24, 32, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(800, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )
    optimizer = torch.optim.Adam(network.parameters(), 0.01, betas=(0.7, 0.9))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=len(train) // 256)
    for seconds in _epochs(network, optimizer, train, pixels, seed, epochs=1, batch_size=256, each_step=schedule.step):
        yield seconds, accuracy(network, held_out, pixels)


def bare_cnn(
    train: LabelledImages, held_out: LabelledImages, pixels: tuple[float, float], seed: int
) -> Iterator[tuple[float, float]]:
    """Our `cnn`: the same network, batches, augmentation and optimiser, without Lightning."""
    settings = params.load()
    how = classifiers.plan("cnn", settings.models).hyperparameters
    torch.manual_seed(seed)
    network = classifiers.plan("cnn", settings.models).build().to(memory_format=torch.channels_last)
    decayed = [p for p in network.parameters() if p.dim() > 1]
    plain = [p for p in network.parameters() if p.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, how["lr"], BETAS, weight_decay=how["weight_decay"], fused=True)
    steps = how["epochs"] * (len(train) // how["batch_size"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, how["lr"], total_steps=steps, cycle_momentum=False)
    for seconds in _epochs(
        network,
        optimizer,
        train,
        pixels,
        seed,
        epochs=how["epochs"],
        batch_size=how["batch_size"],
        each_step=schedule.step,
        change=lambda images, labels: vary(images, labels, settings.augmentation),
        label_smoothing=how["label_smoothing"],
    ):
        yield seconds, accuracy(network, held_out, pixels)


def _epochs(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: LabelledImages,
    pixels: tuple[float, float],
    seed: int,
    *,
    epochs: int,
    batch_size: int,
    each_step: Callable[[], None] = lambda: None,
    change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = lambda images, labels: images,
    label_smoothing: float = 0.0,
) -> Iterator[float]:
    """Train, and yield the seconds that it took after each epoch."""
    images, labels = torch.tensor(train.images)[:, None], torch.tensor(train.labels).long()
    batches, seconds = ShuffledBatches(len(train), batch_size, seed), 0.0
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        network.train()
        start = time.perf_counter()
        for rows in batches:
            batch = (change(images[rows].float() / 255, labels[rows]) - pixels[0]) / pixels[1]
            loss = cross_entropy(network(batch), labels[rows], label_smoothing=label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            each_step()
        seconds += time.perf_counter() - start
        yield seconds


def accuracy(network: nn.Module, images: LabelledImages, pixels: tuple[float, float]) -> float:
    """Return the fraction of `images` that `network` gets right."""
    network.eval()
    with torch.no_grad():
        batches = torch.from_numpy(images.scaled()).split(MANY)
        found = torch.cat([network((batch - pixels[0]) / pixels[1]).argmax(1) for batch in batches])
    return float((found.numpy() == images.labels).mean())


RECIPES: dict[str, Recipe] = {
    "pytorch_example": pytorch_example,
    "train_mnist_fast": train_mnist_fast,
    "bare_cnn": bare_cnn,
}
