"""Changes of the training of networks that params.yaml cannot express, tried by `python -m benchmarks.search` before
they become hyperparameters: `-S variant=lookahead`.

Each is a context manager; networks that `pipeline.training.networks` trains within it are trained that way, in one
process and without interruptions.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.nn.functional import cross_entropy, unfold
from torch.optim.swa_utils import update_bn

from pipeline.training import ensemble, networks
from pipeline.training.optimizer import BETAS, optimizer


@contextmanager
def precise_batch_norm(count: int = 20_000) -> Iterator[None]:
    """Estimate the statistics of batch normalisation after training, on images without augmentation.

    Source: Wu and Johnson, Rethinking "Batch" in BatchNorm (2021).

    Args:
        count: of the images.
    """
    train = networks.train

    def then_estimate(module: networks.LightningClassifier, *arguments: Any, **options: Any) -> int:
        epoch = train(module, *arguments, **options)
        images = module.context.train.first(count)
        update_bn((torch.from_numpy(batch.scaled()) for batch in images.batches()), module.network)
        return epoch

    with mock.patch.object(networks, "train", then_estimate):
        yield


@contextmanager
def hard_examples(warm: int = 3, hardest: float = 0.25, momentum: float = 0.5) -> Iterator[None]:
    """After some epochs, train on the images with the largest loss so far and as many others, drawn at random, so often
    that an epoch takes as long as before.

    Source: like Jiang et al., Accelerating Deep Learning by Focusing on the Biggest Losers (2019), with the losses of
    earlier steps, which cost nothing.

    Args:
        warm: epochs with all images.
        hardest: the fraction of the images.
        momentum: of the moving average of an image's losses, the share of the last one.
    """
    losses = torch.zeros(0)
    last = torch.zeros(0)

    class Batches(networks.ShuffledBatches):
        """Draws hard images more often."""

        def __iter__(self) -> Iterator[torch.Tensor]:
            nonlocal losses
            if self.epoch == 0:
                losses = torch.zeros(self.count)
            if self.epoch < warm:
                yield from super().__iter__()
                return
            generator = torch.Generator().manual_seed(self.seed + networks.STRIDE * self.epoch)
            left, part = len(self), round(hardest * self.count)
            while left:
                order = losses.argsort(descending=True, stable=True)
                others = order[part:][torch.randperm(self.count - part, generator=generator)[:part]]
                rows = torch.cat([order[:part], others])
                rows = rows[torch.randperm(len(rows), generator=generator)]
                for batch in rows.split(self.batch_size):
                    if len(batch) == self.batch_size and left:
                        left -= 1
                        yield batch

    class WithRows(networks._Batches):
        """Batches with their row numbers."""

        def __getitem__(self, rows: torch.Tensor) -> Any:
            return *super().__getitem__(rows), rows

    def keep(logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
        nonlocal last
        each = cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")
        last = each.detach()
        return each.mean()

    class Classifier(networks.LightningClassifier):
        """Keeps the losses of the images."""

        def training_step(self, batch: Any, step: int) -> torch.Tensor:
            loss = super().training_step(batch, step)
            losses[batch[2]] = losses[batch[2]].lerp(last, momentum)
            return loss

    changes: dict[str, Any] = {
        "ShuffledBatches": Batches,
        "_Batches": WithRows,
        "cross_entropy": keep,
        "LightningClassifier": Classifier,
    }
    with mock.patch.multiple(networks, **changes):
        yield


@contextmanager
def lookahead(every: int = 5, decay: float = 0.95) -> Iterator[None]:
    """Every few steps, move the weights towards their moving average, the more the later.

    Sources: Zhang et al., Lookahead Optimizer (2019); its schedule from Jordan, 94% on CIFAR-10 in 3.29 Seconds (2024).

    Args:
        every: number of steps.
        decay: of the average per step, in the end.
    """

    def with_average(network: nn.Module, lr: float, weight_decay: float, steps: int) -> Any:
        adamw, schedule = optimizer(network, lr, weight_decay, steps)
        state = [value for value in network.state_dict().values() if value.is_floating_point()]
        average, done = [value.clone() for value in state], 0

        def after_step(*_: Any) -> None:
            nonlocal done
            done += 1
            if done % every and done != steps:
                return
            kept = 1.0 if done == steps else decay**every * (done / steps) ** 3
            with torch.no_grad():
                for mean, value in zip(average, state, strict=True):
                    mean.lerp_(value, 1 - kept)
                    value.copy_(mean)

        adamw.register_step_post_hook(after_step)
        return adamw, schedule

    with mock.patch.object(networks, "optimizer", with_average):
        yield


@contextmanager
def bias_lr(factor: float = 4.0) -> Iterator[None]:
    """Learn the biases of batch normalisation faster than the weights. Source: Jordan (2024), see `lookahead`."""

    def faster(network: nn.Module, lr: float, weight_decay: float, steps: int) -> Any:
        norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
        biases = {id(norm.bias) for norm in norms}
        parameters = list(network.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.dim() > 1]},
            {"params": [p for p in parameters if p.dim() <= 1 and id(p) not in biases], "weight_decay": 0.0},
            {"params": [p for p in parameters if id(p) in biases], "weight_decay": 0.0},
        ]
        adamw = torch.optim.AdamW(groups, lr, BETAS, weight_decay=weight_decay, fused=True)
        rates = [lr, lr, factor * lr]
        return adamw, torch.optim.lr_scheduler.OneCycleLR(adamw, rates, total_steps=steps, cycle_momentum=False)

    with mock.patch.object(networks, "optimizer", faster):
        yield


def _with_network(change: Callable[[networks.LightningClassifier], None]) -> AbstractContextManager[Any]:
    """Return a context in which `change` gets every network before it is trained."""

    class Classifier(networks.LightningClassifier):
        """Changed before training."""

        def on_fit_start(self) -> None:
            with torch.no_grad():
                change(self)

    return mock.patch.object(networks, "LightningClassifier", Classifier)


@contextmanager
def dirac() -> Iterator[None]:
    """Let the convolutions after the first begin as the identity, as far as they have channels for it.

    Source: Jordan (2024), see `lookahead`.
    """

    def identity(module: networks.LightningClassifier) -> None:
        _, *later = (layer for layer in module.network.modules() if isinstance(layer, nn.Conv2d))
        for layer in later:
            nn.init.dirac_(layer.weight[: layer.in_channels])

    with _with_network(identity):
        yield


@contextmanager
def whitening(images: int = 5_000) -> Iterator[None]:
    """Let the first convolution begin as projections to the principal components of patches, with equal variances.

    Source: Jordan (2024), see `lookahead`.
    """

    def whiten(module: networks.LightningClassifier) -> None:
        first = next(layer for layer in module.network.modules() if isinstance(layer, nn.Conv2d))
        scaled = torch.from_numpy(module.context.train.first(images).scaled())
        standardised = (scaled - module.context.mean) / module.context.std
        patches = unfold(standardised, first.kernel_size, stride=first.stride).transpose(1, 2).flatten(0, 1)
        values, vectors = torch.linalg.eigh(torch.cov(patches.T.double()))
        count = min(first.out_channels, len(values))
        filters = (vectors / (values + 1e-3).sqrt()).T.flip(0)[:count].float()
        first.weight[:count] = filters.view(count, *first.weight.shape[1:])

    with _with_network(whiten):
        yield


@contextmanager
def frozen(after: float = 0.7) -> Iterator[None]:
    """Freeze the layers before the last convolution after a fraction of the epochs; the others are faster.

    Source: Brock et al., FreezeOut (2017).
    """

    class Classifier(networks.LightningClassifier):
        """Freezes its first layers."""

        def on_train_epoch_start(self) -> None:
            if self.current_epoch < after * (self.trainer.max_epochs or 0):
                return
            *first, _ = (layer for layer in self.network.modules() if isinstance(layer, nn.Conv2d))
            parameters = list(self.network.parameters())
            last = next(n for n, p in enumerate(parameters) if p is first[-1].weight)
            for parameter in parameters[: last + 3]:  # with the batch normalisation after it
                parameter.requires_grad_(False)

    with mock.patch.object(networks, "LightningClassifier", Classifier):
        yield


@contextmanager
def nine_views() -> Iterator[None]:
    """Average over nine shifted copies of an image instead of five."""
    with mock.patch.object(ensemble, "SHIFTS", [(top, left) for top in (1, 0, 2) for left in (1, 0, 2)]):
        yield


VARIANTS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "precise_batch_norm": precise_batch_norm,
    "hard_examples": hard_examples,
    "lookahead": lookahead,
    "bias_lr": bias_lr,
    "dirac": dirac,
    "whitening": whitening,
    "frozen": frozen,
    "nine_views": nine_views,
}
