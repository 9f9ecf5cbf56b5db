"""Changes of the training of networks that params.yaml cannot express, tried by `python -m benchmarks.search` before
they become hyperparameters: `-S variant=lookahead`.

Each is a context manager; networks that `pipeline.training.networks` trains within it are trained that way, in one
process and without interruptions.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from sklearn.model_selection import StratifiedKFold
from torch import nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, kl_div, unfold
from torch.optim.swa_utils import update_bn

from digits.interface import SIZE
from pipeline.classifiers import cnn_fast
from pipeline.training import TrainingContext, ensemble, networks
from pipeline.training.optimizer import BETAS, optimizer

PROXY_CROP = 2  # of `cnn_fast`, as in params.yaml


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
def proxy_examples(folds: int = 3, hardest: float = 0.5, others: float = 0.25) -> Iterator[None]:
    """Train on the images that are hard for a small network and on some others, drawn at random, so often that an epoch
    takes as long as before. The small network, `cnn_fast`, predicts each image after a training on other ones.

    Source: Coleman et al., Selection via Proxy (2020).

    Args:
        folds: of the cross-validation of the small network.
        hardest, others: fractions of the images.
    """
    losses = torch.zeros(0)
    train = networks.train

    def after_the_proxy(module: networks.LightningClassifier, folder: Path, **options: Any) -> int:
        nonlocal losses
        losses = _proxy_losses(module.context, folds)
        batches = _hardest_batches(losses, hardest, others)
        with mock.patch.object(networks, "ShuffledBatches", batches):
            return train(module, folder, **options)

    with mock.patch.object(networks, "train", after_the_proxy):
        yield


def _proxy_losses(context: TrainingContext, folds: int) -> torch.Tensor:
    """Return the log loss of each training image, predicted by `cnn_fast` in cross-validation."""
    images = context.train
    shape = images.shape
    losses = torch.zeros(len(images))
    for rest, held_out in StratifiedKFold(folds, shuffle=True, random_state=0).split(images.labels, images.labels):
        torch.manual_seed(context.seed)
        network = cnn_fast.build(shape, context.classes, crop=PROXY_CROP)
        layers = nn.Sequential(ensemble.Standardise(context.mean, context.std), network)
        steps = len(rest) // 128
        adamw, schedule = optimizer(layers.to(memory_format=torch.channels_last), 0.02, 0.02, steps)
        for rows in torch.randperm(len(rest))[: steps * 128].split(128):
            batch = images.at(rest[rows.numpy()])
            loss = cross_entropy(layers(torch.from_numpy(batch.scaled())), torch.from_numpy(batch.labels).long())
            adamw.zero_grad()
            loss.backward()
            adamw.step()
            schedule.step()
        held = images.at(held_out)
        logits = torch.from_numpy(networks.outputs(layers.eval(), held))
        losses[held_out] = cross_entropy(logits, torch.from_numpy(held.labels).long(), reduction="none")
    return losses


def _hardest_batches(losses: torch.Tensor, hardest: float, others: float) -> type[networks.ShuffledBatches]:
    """Return a sampler that draws the images with the largest loss, and others at random.

    Args:
        losses: of all images, (n,).
        hardest, others: fractions of the images; they are drawn anew, again and again, until the epoch is over.
    """
    order, part = losses.argsort(descending=True, stable=True), round(hardest * len(losses))

    class Batches(networks.ShuffledBatches):
        """Draws hard images more often."""

        def _pass(self, generator: torch.Generator) -> torch.Tensor:
            drawn = torch.randperm(self.count - part, generator=generator)[: round(others * self.count)]
            rows = torch.cat([order[:part], order[part:][drawn]])
            return rows[torch.randperm(len(rows), generator=generator)]

    return Batches


@contextmanager
def distilled(teachers: int = 3, share: float = 0.7, temperature: float = 2.0) -> Iterator[None]:
    """Train several networks first, and then the network on their mean logits for each augmented batch, too.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015).

    Args:
        teachers: number of networks, of the same kind and with seeds of their own.
        share: of the teachers' predictions in the loss; the rest is that of the labels.
        temperature: of both predictions.
    """
    train = networks.train

    def after_the_teachers(module: networks.LightningClassifier, folder: Path, **options: Any) -> int:
        trained = []
        for number in range(teachers):
            seed = module.seed + 100 + number
            teacher = networks.LightningClassifier(
                networks._reinitialised(module.network, seed),
                replace(module.context, curves=folder / f"curves of {number}"),
                seed,
                lr=module.lr,
                weight_decay=module.weight_decay,
                label_smoothing=module.label_smoothing,
                hard_examples=module.hard_examples,
            )
            train(teacher, folder / f"teacher {number}", **options)
            trained.append(teacher.network.eval())
        wanted = torch.empty(0)

        def ask(_: nn.Module, inputs: tuple[torch.Tensor]) -> None:
            nonlocal wanted
            if module.network.training:
                with torch.no_grad():
                    logits = torch.stack([teacher(inputs[0]) for teacher in trained]).mean(0)
                wanted = (logits / temperature).log_softmax(1)

        def with_the_teachers(logits: torch.Tensor, labels: torch.Tensor, **how: Any) -> torch.Tensor:
            losses = cross_entropy(logits, labels, **how)
            if how.get("reduction") != "none":
                return losses
            found = (logits / temperature).log_softmax(1)
            divergence = kl_div(found, wanted, reduction="none", log_target=True).sum(1)
            return (1 - share) * losses + share * temperature**2 * divergence

        hook = module.network.register_forward_pre_hook(ask)
        with mock.patch.object(networks, "cross_entropy", with_the_teachers):
            epoch = train(module, folder, **options)
        hook.remove()
        return epoch

    with mock.patch.object(networks, "train", after_the_teachers):
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
def relu() -> Iterator[None]:
    """Let networks have ReLU instead of GELU, which takes a tenth of the time of `cnn_fast`."""
    with mock.patch.object(nn, "GELU", nn.ReLU):
        yield


@contextmanager
def hardswish() -> Iterator[None]:
    """Let networks have Hardswish instead of GELU, which takes a tenth of the time of `cnn_fast`."""
    with mock.patch.object(nn, "GELU", nn.Hardswish):
        yield


@contextmanager
def nine_views() -> Iterator[None]:
    """Average over nine shifted copies of an image instead of five."""
    with mock.patch.object(ensemble, "SHIFTS", [(top, left) for top in (1, 0, 2) for left in (1, 0, 2)]):
        yield


@contextmanager
def deskewed() -> Iterator[None]:
    """Let every network see digits without slant: sheared until the ink's columns do not depend on its rows.

    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998).
    """
    with mock.patch.object(networks, "Standardise", _Deskewed):
        yield


class _Deskewed(ensemble.Standardise):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows, columns = _centred(images.shape[2]), _centred(images.shape[3])
        total = images.sum((1, 2, 3)) + 1e-6
        row = (images.sum((1, 3)) @ rows) / total
        column = (images.sum((1, 2)) @ columns) / total
        row_variance = (images.sum((1, 3)) @ rows.square()) / total - row.square()
        products = torch.einsum("nchw,h,w->n", images, rows, columns) / total - row * column
        shear = (products / row_variance.clamp(min=1e-3)).clamp(-1, 1)
        matrix = torch.zeros(len(images), 2, 3)
        matrix[:, 0, 0] = matrix[:, 1, 1] = 1
        matrix[:, 0, 1], matrix[:, 0, 2] = shear, -shear * row
        return super().forward(_resampled(images, matrix))


@contextmanager
def width_normalised() -> Iterator[None]:
    """Let every network see digits that are equally wide, 16 pixels, but at most twice as wide as they were.

    Source: Cireşan, Meier and Schmidhuber, Multi-column Deep Neural Networks (2012).
    """
    with mock.patch.object(networks, "Standardise", _WidthNormalised):
        yield


class _WidthNormalised(ensemble.Standardise):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        columns = _centred(images.shape[3])
        has_ink = images.amax((1, 2)) > 0.3
        left = torch.where(has_ink, columns, 1.0).amin(1)
        right = torch.where(has_ink, columns, -1.0).amax(1)
        width = (right - left).clamp(min=0) + 2 / images.shape[3]
        matrix = torch.zeros(len(images), 2, 3)
        matrix[:, 0, 0] = (width / (2 * 16 / SIZE)).clamp(0.5, 1.25)
        matrix[:, 1, 1] = 1
        matrix[:, 0, 2] = torch.where(has_ink.any(1), (left + right) / 2, 0.0)
        return super().forward(_resampled(images, matrix))


def _centred(count: int) -> torch.Tensor:
    """Return the positions of `count` pixels between -1 and 1."""
    return (2 * torch.arange(count) + 1) / count - 1


def _resampled(images: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    return grid_sample(images, affine_grid(matrix, list(images.shape), align_corners=False), align_corners=False)


VARIANTS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "precise_batch_norm": precise_batch_norm,
    "proxy_examples": proxy_examples,
    "distilled": distilled,
    "lookahead": lookahead,
    "bias_lr": bias_lr,
    "dirac": dirac,
    "whitening": whitening,
    "frozen": frozen,
    "relu": relu,
    "hardswish": hardswish,
    "nine_views": nine_views,
    "deskewed": deskewed,
    "width_normalised": width_normalised,
}
