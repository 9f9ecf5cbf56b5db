"""Published recipes for MNIST, reimplemented from their descriptions as bare PyTorch loops; and our own network in such
a loop, to measure the overhead of Lightning.

A recipe is a function of training images, held-out images, mean and std of the pixels, and a seed. After each epoch it
yields the seconds of training so far and the accuracy on the held-out images. The evaluation is not timed.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn
from torch.nn.functional import cross_entropy, max_pool2d, relu
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR

from pipeline import params
from pipeline.classifiers import model_config
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import DIGIT
from pipeline.training.augmentation import augment_batch
from pipeline.training.ensemble import Standardise
from pipeline.training.networks import ShuffledBatches, outputs
from pipeline.training.optimizer import optimizer

Epochs = Iterator[tuple[float, float]]  # seconds so far, accuracy
Recipe = Callable[[LabelledImages, LabelledImages, tuple[float, float], int], Epochs]


class PytorchExample(nn.Module):
    """PyTorch's own MNIST example (pytorch/examples, mnist): two convolutions, 1.2 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.linear1, self.linear2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (n, 10) for standardised `images` (n, 1, 28, 28)."""
        maps = max_pool2d(relu(self.conv2(relu(self.conv1(images)))), 2)
        return self.linear2(self.dropout2(relu(self.linear1(self.dropout1(maps).flatten(1)))))


def pytorch_example(train: LabelledImages, held_out: LabelledImages, pixels: tuple[float, float], seed: int) -> Epochs:
    """Adadelta in batches of 64; the learning rate, 1, is multiplied by 0.7 after each epoch. The first 4 of its 14
    epochs.
    """
    torch.manual_seed(seed)
    network = nn.Sequential(Standardise(*pixels), PytorchExample())
    adadelta = torch.optim.Adadelta(network.parameters(), 1.0)
    schedule = StepLR(adadelta, len(train) // 64, 0.7)
    yield from _train(network, adadelta, schedule, train, held_out, seed, epochs=4, batch_size=64)


def train_mnist_fast(
    train: LabelledImages,
    held_out: LabelledImages,
    pixels: tuple[float, float],
    seed: int,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Epochs:
    """One epoch with a one-cycle learning rate, pooling before the activation: the fastest published recipe for 99%
    that we know of, https://github.com/tuomaso/train_mnist_fast.

    Args:
        memory_format: the author's by default; CPUs are faster with channels_last.
    """
    torch.manual_seed(seed)
    network = nn.Sequential(
        Standardise(*pixels),
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
    ).to(memory_format=memory_format)
    adam = torch.optim.Adam(network.parameters(), 0.01, betas=(0.7, 0.9))
    schedule = OneCycleLR(adam, 0.01, total_steps=len(train) // 256)
    yield from _train(network, adam, schedule, train, held_out, seed, epochs=1, batch_size=256)


def bare_cnn(train: LabelledImages, held_out: LabelledImages, pixels: tuple[float, float], seed: int) -> Epochs:
    """Our `cnn`: the same network, augmentation and optimiser, without Lightning and without hard examples."""
    config = model_config("cnn", params.load())
    policy = config.policy.model_copy(update={"horizontal_flip": 0.0})  # digits are not mirrored
    how = config.hyperparameters
    torch.manual_seed(seed)
    network = nn.Sequential(Standardise(*pixels), config.build(DIGIT, 10)).to(memory_format=torch.channels_last)
    epochs = how["epochs"]
    steps = epochs * (len(train) // how["batch_size"])
    yield from _train(
        network,
        *optimizer(network, how["lr"], how["weight_decay"], steps),
        train,
        held_out,
        seed,
        epochs=epochs,
        batch_size=how["batch_size"],
        augment=lambda images, labels: augment_batch(images, policy),
        label_smoothing=how["label_smoothing"],
    )


def _train(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: LRScheduler,
    train: LabelledImages,
    held_out: LabelledImages,
    seed: int,
    *,
    epochs: int,
    batch_size: int,
    augment: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = lambda images, labels: images,
    label_smoothing: float = 0.0,
) -> Epochs:
    """Train `network`, with a step of `schedule` after each batch; yield seconds and accuracy after each epoch."""
    images, labels = torch.tensor(train.images)[:, None], torch.tensor(train.labels).long()
    batches, seconds = ShuffledBatches(len(train), batch_size, seed), 0.0
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        network.train()
        start = time.perf_counter()
        for rows in batches:
            logits = network(augment(images[rows].float() / 255, labels[rows]))
            loss = cross_entropy(logits, labels[rows], label_smoothing=label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        seconds += time.perf_counter() - start
        yield seconds, float((outputs(network.eval(), held_out).argmax(1) == held_out.labels).mean())


RECIPES: dict[str, Recipe] = {
    "pytorch_example": pytorch_example,
    "train_mnist_fast": train_mnist_fast,
    "train_mnist_fast, channels_last": partial(train_mnist_fast, memory_format=torch.channels_last),
    "bare_cnn": bare_cnn,
}
