"""PyTorch networks, trained by Lightning: AdamW, one-cycle learning rate, augmented batches, early stopping, the
weights of the best or the last epoch; then calibrated on the validation images and exported to ONNX.

Lightning keeps the best and the last checkpoint, stops early and resumes. What it lacks for an interrupted run to end
with the bytes of an uninterrupted one is here: batches that depend on seed and epoch alone (`ShuffledBatches`), a seed
for every step (`LightningClassifier.training_step`), the history of finished epochs, from which the learning curves are
written again (DVC deletes them before a stage runs), and the check whether a killed run had finished (`_finished`).
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
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, Sampler

from digits.errors import InputError
from digits.interface import PROBABILITIES, SIZE
from pipeline.datasets.arrays import LabelledImages, Shape
from pipeline.onnx_graph.export import to_onnx
from pipeline.params import Count, Fraction
from pipeline.training import FittedModel, TrainingContext
from pipeline.training.augmentation import augment_batch
from pipeline.training.calibration import calibrate
from pipeline.training.checkpoints import SafetensorsIO
from pipeline.training.ensemble import Ensemble, Standardise, with_probabilities
from pipeline.training.optimizer import optimizer

MONITOR = "validation/error"
DIVERGED, TEN = 1.25, 10  # times the loss of equal probabilities for all classes, at least ten
FIRST_STEPS = 100  # within which the loss may overshoot
STRIDE = 1_000_003  # between the seeds of steps and epochs
BATCH, BATCH_PIXELS = 1_000, 200_000  # images in a batch without gradients; pixels, if images are larger than digits

Epoch = dict[str, float]  # number, losses and errors of one epoch


class ShuffledBatches(Sampler[torch.Tensor]):
    """Row numbers of each batch, a function of seed and epoch; an incomplete last batch is dropped."""

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.count, self.batch_size, self.seed, self.epoch = count, min(batch_size, count), seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Select the epoch; called by Lightning."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.batch_size

    def __iter__(self) -> Iterator[torch.Tensor]:
        # Drawn with the first batch: only then has Lightning set the epoch of a resumed run.
        generator = torch.Generator().manual_seed(self.seed + STRIDE * self.epoch)
        order = torch.randperm(self.count, generator=generator)
        yield from order[: len(self) * self.batch_size].split(self.batch_size)


class LightningClassifier(LightningModule):
    """A network with its optimiser and training data. `network` maps images in [0, 1] to logits."""

    def __init__(
        self,
        network: nn.Module,
        context: TrainingContext,
        seed: int,
        earlier: Sequence[Epoch] = (),
        *,
        lr: float,
        weight_decay: float,
        label_smoothing: float,
    ) -> None:
        super().__init__()
        self.network, self.context, self.seed = network, context, seed
        self.earlier = earlier  # epochs of the networks before this one in an ensemble
        self.curves = DVCLiveLogger(dir=str(context.curves), save_dvc_exp=False, dvcyaml=None, report=None)
        self.lr, self.weight_decay, self.label_smoothing = lr, weight_decay, label_smoothing
        self.history: list[Epoch] = []
        self.sums: dict[str, torch.Tensor] = {}

    def configure_optimizers(self) -> Any:
        """Return the optimiser and the schedule of `optimizer`."""
        steps = int(self.trainer.estimated_stepping_batches)
        adamw, schedule = optimizer(self.network, self.lr, self.weight_decay, steps)
        return {"optimizer": adamw, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Write the learning curves of epochs that are finished already."""
        for step, epoch in enumerate([*self.earlier, *self.history], 1):
            self._log_curves(epoch, step)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> torch.Tensor:
        """Return the loss of a batch of uint8 images and labels."""
        # Seeds augmentation and dropout. torch.manual_seed takes a millisecond because it seeds accelerators too.
        torch.default_generator.manual_seed(self.seed + STRIDE * (self.global_step + 1))
        images, labels = batch[0].float() / 255, batch[1]
        if self.context.augmentation:
            images = augment_batch(images, self.context.augmentation)
        logits = self.network(images)
        loss = cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        self._add("train", loss, logits, labels)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> None:
        """Add a batch to the sums of the epoch."""
        logits = self.network(batch[0].float() / 255)
        self._add("validation", cross_entropy(logits, batch[1]), logits, batch[1])

    def on_validation_epoch_end(self) -> None:
        """Record loss and error rate of the epoch, on (augmented) training and on validation images.

        Raises:
            InputError: the training diverges.
        """
        epoch: Epoch = {"epoch": self.current_epoch + 1}
        for split in ("train", "validation"):
            count, loss, wrong = self.sums.pop(split).tolist()
            epoch |= {f"{split}/loss": round(loss / count, 6), f"{split}/error": round(wrong / count, 6)}
        largest = DIVERGED * math.log(max(self.context.classes, TEN)) if self.global_step > FIRST_STEPS else math.inf
        if not epoch["train/loss"] < largest or not epoch["validation/loss"] < math.inf:
            raise InputError(
                f"{self.context.name}: training diverges: the loss is {epoch['train/loss']} in epoch {epoch['epoch']} "
                f"with lr {self.lr}. No model was written. Try a smaller params.yaml: models.{self.context.name}.lr."
            )
        self.history.append(epoch)
        self.log(MONITOR, epoch[MONITOR], logger=False, prog_bar=True)
        self._log_curves(epoch, len(self.earlier) + len(self.history))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the history of epochs with the checkpoint."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the history of epochs."""
        self.history = checkpoint["history"]

    def _log_curves(self, epoch: Epoch, step: int) -> None:
        self.curves.log_metrics({name: value for name, value in epoch.items() if name != "epoch"}, step=step)

    def _add(self, split: str, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        wrong = (logits.argmax(1) != labels).sum()
        count = torch.tensor(len(labels), device=loss.device)
        new = torch.stack([count, loss.detach() * len(labels), wrong])
        self.sums[split] = self.sums.get(split, torch.zeros(3, device=loss.device)) + new


def fit(
    network: nn.Module,
    context: TrainingContext,
    *,
    ensemble_size: Count,
    tta: bool,
    epochs: Count,
    patience: Count,
    checkpoint: Literal["best", "last"],
    batch_size: Annotated[int, Field(ge=2)],
    lr: Annotated[float, Field(gt=0)],
    weight_decay: Annotated[float, Field(ge=0)],
    label_smoothing: Fraction,
    accelerator: Literal["cpu", "cuda", "mps"],
) -> FittedModel:
    """Train `network`, which maps standardised images (n, channels, height, width) to logits (n, classes).

    Args:
        ensemble_size: The number of networks, trained with seeds of their own, whose logits are averaged.
        tta: Whether to average over test-time augmentation: the image, and the image shifted by one pixel each way.
        epochs: The largest number of passes over the training images; the learning rate's cycle spans them.
        patience: The number of epochs without a smaller validation error before training stops early.
        checkpoint: Which weights to use: those of the first epoch with the smallest validation error, or of the last.
        batch_size: The number of images in one step.
        lr: The largest learning rate.
        weight_decay: The weight decay of AdamW.
        label_smoothing: The probability that the target moves from the correct class to all classes.
        accelerator: The device that trains; only the CPU gives reproducible bytes.

    Raises:
        InputError: training diverges, or there is no such accelerator.
    """
    torch.set_num_threads(context.threads)
    check_accelerator(accelerator, context.name)
    networks: list[nn.Module] = []
    histories: list[list[Epoch]] = []
    kept: list[int] = []
    for number in range(ensemble_size):
        if number:
            network = _reinitialised(network, context.seed + number)
        standardised = nn.Sequential(Standardise(context.mean, context.std), network)
        module = LightningClassifier(
            standardised.to(memory_format=torch.channels_last),
            context,
            context.seed + number,
            [epoch for history in histories for epoch in history],
            lr=lr,
            weight_decay=weight_decay,
            label_smoothing=label_smoothing,
        )
        kept.append(
            train(
                module,
                context.checkpoints / str(number),
                epochs=epochs,
                patience=patience,
                checkpoint=checkpoint,
                batch_size=batch_size,
                accelerator=accelerator,
            )
        )
        networks.append(module.network)
        histories.append(module.history)
    shutil.rmtree(context.checkpoints)
    ensemble = Ensemble(networks, tta).eval()
    calibration = calibrate(outputs(ensemble, context.validation).astype(np.float64), context.validation.labels)
    model = with_probabilities(ensemble, calibration.temperature)
    metadata = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "epochs": sum(map(len, histories)),
        "checkpoint_epochs": kept,
        **calibration.to_dict(),
    }
    export = partial(to_onnx, model, PROBABILITIES, context.train.shape)
    return FittedModel(partial(outputs, model), export, metadata)


def train(
    module: LightningClassifier,
    folder: Path,
    *,
    epochs: int,
    patience: int,
    checkpoint: Literal["best", "last"],
    batch_size: int,
    accelerator: str,
) -> int:
    """Train `module`, or resume from the checkpoints in `folder`, load the weights of the best or the last epoch, and
    return its number, from 1.

    Raises:
        InputError: training diverges.
    """
    context, last = module.context, folder / "last.ckpt"
    stopping = EarlyStopping(MONITOR, patience=patience, check_on_train_epoch_end=True)
    saving = [  # not `save_last`: Lightning 2.6 then writes last.ckpt only in epochs that are the best so far
        ModelCheckpoint(folder, name, monitor=monitor, save_on_train_epoch_end=True, enable_version_counter=False)
        for name, monitor in (("best", MONITOR), ("last", None))
    ]
    if last.exists():
        print(f"{context.name}: resuming from {last}")
    if last.exists() and _finished(SafetensorsIO().load_checkpoint(last), stopping, epochs):
        module.on_load_checkpoint(SafetensorsIO().load_checkpoint(last))
        module.on_train_start()
        module.curves.finalize("success")
    else:
        _run_trainer(module, last, [stopping, *saving], epochs, batch_size, accelerator)
    chosen = SafetensorsIO().load_checkpoint(folder / f"{checkpoint}.ckpt")
    module.cpu().load_state_dict(chosen["state_dict"])
    return int(chosen["epoch"]) + 1


def _finished(checkpoint: dict[str, Any], stopping: EarlyStopping, epochs: int) -> bool:
    """Return whether the run that wrote `checkpoint` had nothing left to do; Lightning would train one epoch more."""
    waited = checkpoint["callbacks"][stopping.state_key]["wait_count"]
    return len(checkpoint["history"]) >= epochs or waited >= stopping.patience


def _run_trainer(
    module: LightningClassifier,
    last: Path,
    callbacks: list[Callback],
    epochs: int,
    batch_size: int,
    accelerator: str,
) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    context, interactive = module.context, sys.stderr.isatty()
    trainer = Trainer(
        accelerator=accelerator,
        devices=1,
        max_epochs=epochs,
        logger=module.curves,
        callbacks=callbacks + ([RichProgressBar()] if interactive else []),
        plugins=[SafetensorsIO()],
        enable_progress_bar=interactive,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # the data are in memory
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning 2.6 with torch 2.15
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")  # the folder of an interrupted run
        trainer.fit(
            module,
            _loader(context.train, ShuffledBatches(len(context.train), batch_size, module.seed)),
            _loader(
                context.validation, torch.arange(len(context.validation)).split(_batch_size(context.validation.shape))
            ),
            ckpt_path=last if last.exists() else None,
        )


def check_accelerator(name: str, model: str) -> None:
    """Check that this machine has the accelerator `name`: cpu, cuda or mps.

    Raises:
        InputError: it has not.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[name]:
        found = ", ".join(other for other in available if available[other])
        raise InputError(f"params.yaml: models.{model}.accelerator: found {name!r}. Available here: {found}.")


def outputs(network: nn.Module, images: LabelledImages) -> np.ndarray:
    """Return the outputs of `network` for the images, (n, classes) float32."""
    batches = images.batches(_batch_size(images.shape))
    with torch.no_grad():
        return torch.cat([network(torch.from_numpy(batch.scaled())) for batch in batches]).numpy()


def flat_size(layers: nn.Module, shape: Shape) -> int:
    """Return the number of values per image that `layers` make of images of a `shape`.

    Raises:
        InputError: the images are too small for the convolutions and pooling.
    """
    try:
        with torch.no_grad():
            return layers.eval()(torch.zeros(1, *shape)).shape[1]
    except RuntimeError:
        raise InputError(
            f"images of {shape.height}x{shape.width} pixels are too small for this network. Prepare larger images, or "
            "use a network with fewer convolutions and less pooling."
        ) from None
    finally:
        layers.train()


def _reinitialised(network: nn.Module, seed: int) -> nn.Module:
    """Return a copy of `network` with other initial weights, drawn with `seed`."""
    torch.manual_seed(seed)
    network = copy.deepcopy(network)
    for layer in network.modules():
        if callable(reset := getattr(layer, "reset_parameters", None)):
            reset()
    return network


class _Batches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Batches of uint8 images and their labels by row numbers."""

    def __init__(self, images: LabelledImages) -> None:
        self.images = images

    def __getitem__(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = self.images.at(rows.numpy())
        return torch.from_numpy(chosen.channels_first()), torch.from_numpy(chosen.labels.astype(np.int64))


def _batch_size(shape: Shape) -> int:
    """Return the number of images of a `shape` in a batch without gradients."""
    pixels = shape.height * shape.width
    return BATCH if pixels <= SIZE**2 else max(1, BATCH_PIXELS // pixels)


def _loader(images: LabelledImages, batches: Any) -> DataLoader[Any]:
    return DataLoader(_Batches(images), sampler=batches, batch_size=None)
