"""PyTorch networks, trained by Lightning: AdamW, one-cycle learning rate, batches augmented as they come, early
stopping, the weights of the best epoch on validation or of the last; then calibrated there and exported to ONNX. A
model may be the mean of several such networks, and of several views of the image.

Images stay in one uint8 tensor in memory; a batch is one indexing operation. Each step sets its own seed, so that an
interrupted training that goes on from its checkpoint ends with the same bytes.
"""

import copy
import logging
import math
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from dvclive.lightning import DVCLiveLogger
from pydantic import Field
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from torch import nn
from torch.nn.functional import cross_entropy, pad
from torch.utils.data import DataLoader, Sampler, TensorDataset

from pipeline.artifact import OUTPUT
from pipeline.datasets.arrays import LabelledImages
from pipeline.errors import InputError
from pipeline.imaging.augmentation import vary
from pipeline.params import Count, Fraction
from pipeline.training import Fitted, Run
from pipeline.training.calibration import calibrate
from pipeline.training.export import to_onnx
from pipeline.training.safetensors_io import SafetensorsIO

BETAS = (0.7, 0.95)  # of AdamW: a short memory, since training is short
MONITOR = "validation/accuracy"  # what the winner is chosen by
DIVERGED = 1.25 * math.log(10)  # a loss well above that of equal probabilities for ten digits
MANY = 1_000  # images in a batch of validation

Entry = dict[str, float]  # what is known of one epoch

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


class Standardise(nn.Module):
    """Shifts and scales by constants: pixels by the mean and spread of the train split, logits by the temperature."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return standardised `values`."""
        return (values - self.mean) / self.std


class Mean(nn.Module):
    """The mean logits of all `members`, and with `views` of the image and four copies of it, each a pixel aside."""

    def __init__(self, members: list[nn.Module], views: bool) -> None:
        super().__init__()
        self.members, self.views = nn.ModuleList(members), views

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (n, 10) for `images` (n, 1, 28, 28) in [0, 1]."""
        if self.views:
            wide = pad(images, (1, 1, 1, 1))
            corners = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
            images = torch.cat([wide[:, :, y : y + 28, x : x + 28] for y, x in corners])
        each = [member(images) for member in self.members]
        logits = torch.stack(each).mean(0) if len(each) > 1 else each[0]
        return logits.view(5, -1, 10).mean(0) if self.views else logits


class ShuffledBatches(Sampler[torch.Tensor]):
    """Row numbers of each batch, the same for the same seed and epoch; an incomplete last batch is left out."""

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.count, self.batch_size, self.seed, self.epoch = count, min(batch_size, count), seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; called by Lightning."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.batch_size

    def __iter__(self) -> Iterator[torch.Tensor]:
        # Drawn when the first batch is asked for: only then has Lightning said which epoch a resumed training is in.
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * self.epoch)
        order = torch.randperm(self.count, generator=generator)
        yield from order[: len(self) * self.batch_size].split(self.batch_size)


class Learner(LightningModule):
    """One network with what it learns by. `network` maps images (n, 1, 28, 28) in [0, 1] to logits (n, 10)."""

    def __init__(
        self,
        network: nn.Module,
        run: Run,
        member: int = 0,
        earlier: Sequence[Entry] = (),
        *,
        lr: float,
        weight_decay: float,
        label_smoothing: float,
        augment: bool,
        keep: Literal["best", "last"],
    ) -> None:
        super().__init__()
        self.network, self.run_ = network, run
        self.seed = run.settings.seed + member
        self.earlier = earlier  # of the members before; the curves go on behind theirs
        self.curves = DVCLiveLogger(dir=str(run.curves), save_dvc_exp=False, dvcyaml=None, report=None)
        self.lr, self.weight_decay, self.label_smoothing, self.augment = lr, weight_decay, label_smoothing, augment
        self.keep = keep
        self.history: list[Entry] = []  # one entry per finished epoch
        self.kept: dict[str, torch.Tensor] = {}  # the weights of the epoch that is kept so far
        self.kept_epoch = 0
        self.sums: dict[str, torch.Tensor] = {}

    def configure_optimizers(self) -> Any:
        """AdamW without decay of biases and normalisation, and one cycle of the learning rate over all steps."""
        decayed = [p for p in self.parameters() if p.dim() > 1]
        plain = [p for p in self.parameters() if p.dim() <= 1]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        # Fused: the plain one takes its square roots differently on different CPUs.
        optimizer = torch.optim.AdamW(groups, self.lr, BETAS, weight_decay=self.weight_decay, fused=True)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=steps, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Write the curves of the epochs that earlier members and an interrupted run had finished."""
        for step, entry in enumerate([*self.earlier, *self.history], 1):
            self._log_curves(entry, step)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> torch.Tensor:
        """Return the loss of one batch of (uint8 images, labels)."""
        # Augmentation and dropout. torch.manual_seed would take a millisecond, for kinds of accelerators not here.
        torch.default_generator.manual_seed(self.seed + 1_000_003 * (self.global_step + 1))
        images, labels = batch[0].float() / 255, batch[1]
        if self.augment:
            images = vary(images, labels, self.run_.settings.augmentation)
        logits = self.network(images)
        loss = cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        self._add("train", loss, logits, labels)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> None:
        """Add up one batch."""
        logits = self.network(batch[0].float() / 255)
        self._add("validation", cross_entropy(logits, batch[1]), logits, batch[1])

    def on_validation_epoch_end(self) -> None:
        """Close the epoch: losses and accuracies of train (on augmented images) and validation."""
        entry: Entry = {"epoch": self.current_epoch + 1}
        for split in ("train", "validation"):
            count, loss, right = self.sums.pop(split).tolist()
            entry |= {f"{split}/loss": round(loss / count, 6), f"{split}/accuracy": round(right / count, 6)}
        if not entry["train/loss"] < DIVERGED or not entry["validation/loss"] < float("inf"):
            raise InputError(
                f"{self.run_.name}: the loss is {entry['train/loss']} in epoch {entry['epoch']} with lr {self.lr}: it "
                f"diverges. No model was written. Try a smaller params.yaml: models.{self.run_.name}.lr."
            )
        if self.keep == "last" or all(entry[MONITOR] > earlier[MONITOR] for earlier in self.history):
            self.kept = {name: value.clone() for name, value in self.network.state_dict().items()}
            self.kept_epoch = self.current_epoch + 1
        self.history.append(entry)
        self.log(MONITOR, entry[MONITOR], logger=False, prog_bar=True)
        self._log_curves(entry, len(self.earlier) + len(self.history))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curves and the kept weights with the present ones."""
        checkpoint |= {"history": self.history, "kept": self.kept, "kept_epoch": self.kept_epoch}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back."""
        self.history, self.kept = checkpoint["history"], checkpoint["kept"]
        self.kept_epoch = checkpoint["kept_epoch"]

    def _log_curves(self, entry: Entry, step: int) -> None:
        self.curves.log_metrics({name: value for name, value in entry.items() if name != "epoch"}, step=step)

    def _add(self, split: str, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        right = (logits.argmax(1) == labels).sum()
        count = torch.tensor(len(labels), device=loss.device)
        new = torch.stack([count, loss.detach() * len(labels), right])
        self.sums[split] = self.sums.get(split, torch.zeros(3, device=loss.device)) + new


def fit(
    network: nn.Module,
    run: Run,
    *,
    members: Count,
    views: bool,
    epochs: Count,
    patience: Count,
    batch_size: Annotated[int, Field(ge=2)],
    lr: Annotated[float, Field(gt=0)],
    weight_decay: Annotated[float, Field(ge=0)],
    label_smoothing: Fraction,
    augment: bool,
    keep: Literal["best", "last"],
) -> Fitted:
    """Train `network`, which maps standardised images (n, 1, 28, 28) to logits (n, 10).

    Args:
        members: networks that learn, each with a seed of its own; the model is the mean of their logits.
        views: average over five views of an image too: itself, and moved by one pixel in four directions.
        epochs: passes over the training images at most; the learning rate's one cycle spans them.
        patience: epochs without a greater validation accuracy before training stops early.
        batch_size: images in one step.
        lr: the greatest learning rate.
        weight_decay: of AdamW.
        label_smoothing: probability that the target takes from the right digit and spreads over all.
        augment: change each batch as params.yaml's `augmentation` says.
        keep: the weights of the epoch that is best on validation, the first of equal ones; or of the last, when the
            learning rate has come down.

    Raises:
        InputError: it diverges or learns nothing, or the accelerator that params.yaml asks for is not there.
    """
    torch.set_num_threads(run.settings.runtime.threads)
    check_accelerator(run.settings.runtime.accelerator)
    how: dict[str, Any] = {
        "lr": lr,
        "weight_decay": weight_decay,
        "label_smoothing": label_smoothing,
        "augment": augment,
        "keep": keep,
    }
    networks: list[nn.Module] = []
    histories: list[list[Entry]] = []
    kept: list[int] = []
    for member in range(members):
        if member:
            network = _anew(network, run.settings.seed + member)
        whole = nn.Sequential(Standardise(run.mean, run.std), network).to(memory_format=torch.channels_last)
        learner = Learner(whole, run, member, [entry for history in histories for entry in history], **how)
        learn(learner, run.checkpoints / f"{member}", epochs, patience, batch_size)
        networks.append(learner.network)
        histories.append(learner.history)
        kept.append(learner.kept_epoch)
    shutil.rmtree(run.checkpoints)
    mean = Mean(networks, views).eval()
    calibration = calibrate(read(mean, run.validation).astype(np.float64), run.validation.labels)
    model = calibrated(mean, calibration.temperature)
    facts = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": sum(map(len, histories)),
        "kept_epochs": kept,
        **calibration.facts(),
    }
    return Fitted(partial(read, model), partial(to_onnx, model, OUTPUT), facts)


def _anew(network: nn.Module, seed: int) -> nn.Module:
    """Return a copy of `network` with other first weights, drawn with `seed`."""
    torch.manual_seed(seed)
    network = copy.deepcopy(network)
    for layer in network.modules():
        if callable(reset := getattr(layer, "reset_parameters", None)):
            reset()
    return network


def learn(learner: Learner, checkpoints: Path, epochs: int, patience: int, batch_size: int) -> None:
    """Let `learner` learn, or go on from `checkpoints`, and give its network the weights of the epoch that is kept.

    Raises:
        InputError: it diverges or learns nothing.
    """
    run, interrupted = learner.run_, checkpoints / "last.ckpt"
    if interrupted.exists():
        print(f"{run.name}: going on from the interrupted run's {interrupted}")
        learner.on_load_checkpoint(SafetensorsIO().load_checkpoint(interrupted))
    if finished(learner.history, epochs, patience):  # killed after its last epoch
        learner.on_train_start()
        learner.curves.finalize("success")
    else:
        _train(learner, checkpoints, epochs, patience, batch_size)
    same_digit = np.bincount(run.validation.labels).max() / len(run.validation)
    if max(entry[MONITOR] for entry in learner.history) <= same_digit:
        raise InputError(
            f"{run.name}: no better on validation than always the same digit. No model was written. "
            f"Try another params.yaml: models.{run.name}.lr ({learner.lr}) or epochs ({epochs})."
        )
    learner.cpu().network.load_state_dict(learner.kept)


def finished(history: list[Entry], epochs: int, patience: int) -> bool:
    """Return whether a training with this `history` has nothing left to do, as EarlyStopping would say."""
    if not history:
        return False
    accuracies = [entry[MONITOR] for entry in history]
    return len(history) == epochs or len(history) - 1 - accuracies.index(max(accuracies)) >= patience


def _train(learner: Learner, checkpoints: Path, epochs: int, patience: int, batch_size: int) -> None:
    """Let Lightning train, from the checkpoint of an interrupted run if there is one."""
    run, interrupted = learner.run_, checkpoints / "last.ckpt"
    stop = EarlyStopping(MONITOR, patience=patience, mode="max", check_on_train_epoch_end=True)
    keep = ModelCheckpoint(checkpoints, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    callbacks: list[Callback] = [stop, keep]
    trainer = Trainer(
        accelerator=run.settings.runtime.accelerator,
        devices=1,
        max_epochs=epochs,
        logger=learner.curves,
        callbacks=callbacks + ([RichProgressBar()] if sys.stderr.isatty() else []),
        plugins=[SafetensorsIO()],
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # the data are in memory
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning 2.6 with torch 2.15
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")  # the interrupted run's
        warnings.filterwarnings("ignore", message=".*dirpath has changed.*")  # the repository was moved meanwhile
        trainer.fit(
            learner,
            _loader(run.train, ShuffledBatches(len(run.train), batch_size, learner.seed)),
            _loader(run.validation, torch.arange(len(run.validation)).split(MANY)),
            ckpt_path=interrupted if interrupted.exists() else None,
        )


def check_accelerator(name: str) -> None:
    """Check that this machine has the accelerator `name`: cpu, cuda or mps.

    Raises:
        InputError: it has not.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[name]:
        found = ", ".join(other for other, available in there.items() if available)
        raise InputError(f"params.yaml: runtime.accelerator: asked for {name}, this machine has: {found}.")


def calibrated(network: nn.Module, temperature: float = 1.0) -> nn.Module:
    """Return `network`, images (n, 1, 28, 28) in [0, 1] to logits, as a module to probabilities."""
    return nn.Sequential(network, Standardise(0.0, temperature), nn.Softmax(dim=1)).eval()


def read(network: nn.Module, images: LabelledImages) -> np.ndarray:
    """Return what `network` gives for the images, (n, 10) float32."""
    with torch.no_grad():
        return torch.cat([network(batch) for batch in torch.from_numpy(images.scaled()).split(MANY)]).numpy()


def _loader(images: LabelledImages, batches: Any) -> DataLoader[Any]:
    tensors = TensorDataset(torch.tensor(images.images)[:, None], torch.tensor(images.labels).long())
    return DataLoader(tensors, sampler=batches, batch_size=None)
