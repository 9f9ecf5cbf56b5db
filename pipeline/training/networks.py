"""PyTorch networks, trained by Lightning: AdamW, one-cycle learning rate, augmented batches, early stopping, the
weights of the best or the last epoch; then calibrated on the validation images and exported to ONNX.

Lightning keeps the best and the last checkpoint, stops early and resumes. What it lacks for an interrupted run to end
with the bytes of an uninterrupted one is here: batches that depend on seed, epoch and the checkpoint's losses alone
(`ShuffledBatches`), a seed for every step (`LightningClassifier.training_step`), the history of finished epochs, from
which the learning curves are written again (DVC deletes them before a stage runs), and the check whether a killed run
had finished (`_finished`).
"""

import copy
import logging
import math
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import onnx
import torch
import torch.distributed
from dvclive.lightning import DVCLiveLogger
from pydantic import Field
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, Sampler

from digits.errors import InputError
from digits.interface import PROBABILITIES, SIZE
from pipeline.datasets.arrays import LabelledImages, Shape, joined
from pipeline.onnx_graph.export import to_onnx
from pipeline.params import Count, Fraction, Schema, Share
from pipeline.training import FittedModel, TrainingContext
from pipeline.training.augmentation import augment_batch
from pipeline.training.calibration import calibrate, fit_weights
from pipeline.training.checkpoints import SafetensorsIO
from pipeline.training.ensemble import Ensemble, Standardise, with_probabilities
from pipeline.training.optimizer import optimizer

MONITOR = "validation/error"
DIVERGED, TEN = 1.25, 10  # times the loss of equal probabilities for all classes, at least ten
FIRST_STEPS = 100  # within which the loss may overshoot
STRIDE, RANK_STRIDE = 1_000_003, 1_009  # between the seeds of steps and epochs, and of processes
MIN_STEPS = 100  # of a training
WARM_EPOCHS = 3  # with all images, before hard examples are selected
LOSS_MOMENTUM = 0.5  # weight of the last loss in the exponential moving average of an image's losses
BLOCK, WINDOW = 1_000, 64  # neighbouring images read together, and blocks shuffled together, if images are on disk
BATCH, BATCH_PIXELS = 1_000, 200_000  # images in a batch without gradients; pixels, if images are larger than digits

Epoch = dict[str, float]  # number, losses and errors of one epoch


class Devices(Schema):
    """What trains a network. Anything but one CPU gives bytes that differ between machines."""

    accelerator: Literal["cpu", "cuda", "mps"]
    devices: Count  # processes on each machine; a batch is divided among all
    num_nodes: Count  # machines; the stage is started on each of them, with MASTER_ADDR and NODE_RANK set
    strategy: Literal["auto", "ddp"]  # of several processes: DistributedDataParallel
    precision: Literal["32-true", "16-mixed", "bf16-mixed"]
    compile: bool  # by torch.compile

    @property
    def processes(self) -> int:
        """Return the number of processes on all machines."""
        return self.devices * self.num_nodes


class ShuffledBatches(Sampler[torch.Tensor]):
    """Row numbers of each batch, a function of seed and epoch, and of the losses with hard examples; an incomplete last
    batch is dropped. Each of several processes gets its share of every batch.

    Args:
        count: of the images.
        passes: over the images in one epoch; less than one for some of the images.
        streamed: shuffle blocks of neighbouring images, and images within a window of blocks, instead of all images:
            whatever their number, a window fits into memory.
        hard_examples: after WARM_EPOCHS, an epoch consists of passes over this fraction of the images, those with the
            largest losses, and as many others, drawn at random; both fractions are at least half a batch.
        losses: returns the loss of each image, (count,) float32; called before each such pass.

    Source: Loshchilov and Hutter, Online Batch Selection for Faster Training of Neural Networks (2016).
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        *,
        passes: float = 1,
        streamed: bool = False,
        hard_examples: float = 0,
        losses: Callable[[], torch.Tensor] = lambda: torch.empty(0),
    ) -> None:
        self.count, self.batch_size, self.seed, self.epoch = count, min(batch_size, count), seed, 0
        self.passes, self.streamed, self.hard_examples, self.losses = passes, streamed, hard_examples, losses

    def set_epoch(self, epoch: int) -> None:
        """Select the epoch; called by Lightning."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, round(self.passes * (self.count // self.batch_size)))

    def __iter__(self) -> Iterator[torch.Tensor]:
        # Drawn with the first batch: only then has Lightning set the epoch of a resumed run.
        generator = torch.Generator().manual_seed(self.seed + STRIDE * self.epoch)
        left = len(self)
        while left:
            rows = self._pass(generator)
            full = min(left, len(rows) // self.batch_size)
            for number in range(full):
                yield rows[number * self.batch_size : (number + 1) * self.batch_size][_rank() :: _processes()]
            left -= full

    def _pass(self, generator: torch.Generator) -> torch.Tensor:
        rows = None
        if self.hard_examples and self.epoch >= WARM_EPOCHS:
            rows = self._hard_and_others(generator)
        count = self.count if rows is None else len(rows)
        order = self._in_windows(count, generator) if self.streamed else torch.randperm(count, generator=generator)
        return order if rows is None else rows[order]

    def _hard_and_others(self, generator: torch.Generator) -> torch.Tensor:
        count = max(round(self.hard_examples * self.count), -(-self.batch_size // 2))
        order = self.losses().argsort(descending=True, stable=True)
        others = torch.randperm(self.count - count, generator=generator)[:count]
        rows = torch.cat([order[:count], order[count:][others]])
        return rows.sort().values if self.streamed else rows

    def _in_windows(self, count: int, generator: torch.Generator) -> torch.Tensor:
        starts = torch.randperm(-(-count // BLOCK), generator=generator) * BLOCK
        windows = []
        for window in starts.split(WINDOW):
            rows = (window[:, None] + torch.arange(BLOCK)).flatten()
            rows = rows[rows < count]
            windows.append(rows[torch.randperm(len(rows), generator=generator)])
        return torch.cat(windows)


class LightningClassifier(LightningModule):
    """A network with its optimiser and training data. `network` maps images in [0, 1] to logits.

    Attributes:
        losses: an exponential moving average of each training image's losses, (n,) float32; empty without hard
            examples.
    """

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
        hard_examples: float = 0,
    ) -> None:
        super().__init__()
        self.network, self.context, self.seed = network, context, seed
        self.earlier = earlier  # epochs of the networks before this one in an ensemble
        self.curves = DVCLiveLogger(dir=str(context.curves), save_dvc_exp=False, dvcyaml=None, report=None)
        self.lr, self.weight_decay, self.label_smoothing = lr, weight_decay, label_smoothing
        self.hard_examples = hard_examples
        self.history: list[Epoch] = []
        self.losses: torch.Tensor
        self.register_buffer("losses", torch.zeros(len(context.train) if hard_examples else 0))
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

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor], step: int) -> torch.Tensor:
        """Return the loss of a batch of uint8 images, labels and row numbers."""
        # Seeds augmentation and dropout. torch.manual_seed takes a millisecond because it seeds accelerators too.
        torch.default_generator.manual_seed(self.seed + STRIDE * (self.global_step + 1) + RANK_STRIDE * _rank())
        images, labels, rows = batch[0].float() / 255, *batch[1:]
        if self.context.augmentation:
            images = augment_batch(images, self.context.augmentation)
        logits = self.network(images)
        losses = cross_entropy(logits, labels, label_smoothing=self.label_smoothing, reduction="none")
        if self.hard_examples:
            all_rows, all_losses = self.all_gather((rows, losses.detach()))  # of all processes
            self.losses[all_rows] = self.losses[all_rows].lerp(all_losses, LOSS_MOMENTUM)
        loss = losses.mean()
        self._add("train", loss, logits, labels)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor], step: int) -> None:
        """Add a batch to the sums of the epoch."""
        images, labels, _ = batch
        logits = self.network(images.float() / 255)
        self._add("validation", cross_entropy(logits, labels), logits, labels)

    def on_validation_epoch_end(self) -> None:
        """Record loss and error rate of the epoch, on the (augmented) images of its training batches and on validation
        images.

        Raises:
            InputError: the training diverges.
        """
        epoch: Epoch = {"epoch": self.current_epoch + 1}
        strategy = self.trainer.strategy
        self.sums["train"] = strategy.reduce(self.sums["train"], reduce_op="sum")
        # Of the weights that are saved: statistics of batch normalisation differ between processes.
        self.sums["validation"] = strategy.broadcast(self.sums["validation"])
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
        values = {name: value for name, value in epoch.items() if name != "epoch"}
        self.curves.log_metrics(values, step=step, sync=True)

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
    refit: bool,
    epochs: Share,
    patience: Count,
    checkpoint: Literal["best", "last"],
    batch_size: Annotated[int, Field(ge=2)],
    lr: Annotated[float, Field(gt=0)],
    weight_decay: Annotated[float, Field(ge=0)],
    label_smoothing: Fraction,
    hard_examples: Annotated[float, Field(ge=0, le=0.5)],
    trainer: Devices,
) -> FittedModel:
    """Train `network`, which maps standardised images (n, channels, height, width) to logits (n, classes), or each
    network of a ModuleList. The logits of several are averaged, see `fit_weights`.

    Args:
        ensemble_size: How many times to train the network, or each of several, with seeds of their own.
        tta: Whether to average over test-time augmentation: the image, and the image shifted by one pixel each way;
            and all of these mirrored, if batches are augmented by mirroring.
        refit: Whether to train anew on training and validation images together. Temperature and weights are those of
            the first training, as are all metrics on validation images. Needs checkpoint: last, and patience for all
            epochs.
        epochs: The largest number of passes over the training images; the learning rate's cycle spans them. Less than
            one for a random part of the images. An epoch has several passes over so few images that there would be less
            than MIN_STEPS steps in all epochs.
        patience: The number of epochs without a smaller validation error before training stops early.
        checkpoint: Which weights to use: those of the first epoch with the smallest validation error, or of the last.
        batch_size: The number of images in one step, of all processes together.
        lr: The largest learning rate.
        weight_decay: The weight decay of AdamW.
        label_smoothing: The probability that the target moves from the correct class to all classes.
        hard_examples: Hard example mining: after WARM_EPOCHS, train on this fraction of the training images, those with
            the largest losses, and on as many others, drawn at random, in as many steps as before. 0 for all images.
        trainer: The devices that train, see `Devices`. Of several processes the first returns, the others exit.

    Raises:
        InputError: training diverges, there is no such device, or `refit` without what it needs.
    """
    torch.set_num_threads(max(1, context.threads // trainer.devices))
    if trainer.accelerator == "cpu":
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"  # Lightning's 1 makes torch look for GPUs in every step
    check(trainer, batch_size, context.name)
    if refit and (checkpoint != "last" or patience < epochs):
        raise InputError(
            f"params.yaml: models.{context.name}.refit: expected checkpoint: last and patience: {epochs}, found "
            f"{checkpoint} and {patience}: a refit has no validation images left to select an epoch by."
        )
    loss = {"lr": lr, "weight_decay": weight_decay, "label_smoothing": label_smoothing, "hard_examples": hard_examples}
    how = {"epochs": epochs, "patience": patience, "checkpoint": checkpoint, "batch_size": batch_size}
    all_networks = separate(network) * ensemble_size
    members = _train_members(all_networks, context, trainer, loss, how)
    refitted = _train_members(all_networks, _with_validation(context), trainer, loss, how, anew=True) if refit else None
    if _rank():
        sys.exit()  # the first process writes the model
    shutil.rmtree(context.checkpoints)
    mirrored = context.augmentation is not None and context.augmentation.horizontal_flip > 0
    averaged = partial(Ensemble, tta=tta, mirrored=mirrored)
    logits = np.stack([outputs(averaged([member]).eval(), context.validation) for member in members.networks])
    weights, labels = fit_weights(logits.astype(np.float64), context.validation.labels), context.validation.labels
    calibration = calibrate(np.tensordot(weights, logits.astype(np.float64), 1), labels)
    metadata = {
        "epochs": sum(map(len, members.histories)),
        "checkpoint_epochs": members.checkpoint_epochs,
        **calibration.to_dict(),
    }
    if len(weights) > 1:
        metadata |= {"weights": weights.tolist()}
    if trainer.processes > 1:
        metadata |= {"processes": trainer.processes, "batch_size_per_process": batch_size // trainer.processes}

    def finished(networks: list[nn.Module]) -> tuple[nn.Module, Callable[[], onnx.ModelProto]]:
        model = with_probabilities(averaged(networks, weights=weights.tolist()), calibration.temperature)
        return model, partial(to_onnx, model, PROBABILITIES, context.train.shape)

    model, export = finished(members.networks)
    metadata = {"parameters": sum(parameter.numel() for parameter in model.parameters()), **metadata}
    if not refitted:
        return FittedModel(partial(outputs, model), export, metadata)
    before, (model, export) = export, finished(refitted.networks)
    metadata |= {"refit_images": len(context.train) + len(context.validation)}
    return FittedModel(partial(outputs, model), export, metadata, export_before_refit=before)


def separate(network: nn.Module) -> list[nn.Module]:
    """Return the networks of a ModuleList, or the one network."""
    return list(network) if isinstance(network, nn.ModuleList) else [network]


class _Members(NamedTuple):
    """The trained networks of an ensemble, the epochs of each, and the epoch whose weights each has."""

    networks: list[nn.Module]
    histories: list[list[Epoch]]
    checkpoint_epochs: list[int]


def _train_members(
    networks: Sequence[nn.Module],
    context: TrainingContext,
    devices: Devices,
    loss: Mapping[str, float],
    how: Mapping[str, Any],
    *,
    anew: bool = False,
) -> _Members:
    """Train `networks`, or copies with other initial weights: of all but the first, or with `anew` of all."""
    members = _Members([], [], [])
    for number, network in enumerate(networks):
        seed = context.seed + number
        chosen = _reinitialised(network, seed) if number or anew else network
        standardised = nn.Sequential(Standardise(context.mean, context.std), chosen)
        if devices.compile:
            standardised.compile()
        earlier = [epoch for history in members.histories for epoch in history]
        module = LightningClassifier(standardised.to(memory_format=torch.channels_last), context, seed, earlier, **loss)
        kept = train(module, context.checkpoints / str(number), devices=devices, **how)
        members.checkpoint_epochs.append(kept)
        members.networks.append(module.network)
        members.histories.append(module.history)
    return members


def _with_validation(context: TrainingContext) -> TrainingContext:
    """Return `context` with the validation images among the training images, and traces of its own."""
    images = joined(context.train, context.validation)
    traces = context.checkpoints / "refit"
    return replace(context, train=images, curves=traces / "curves", checkpoints=traces)


def train(
    module: LightningClassifier,
    folder: Path,
    *,
    epochs: float,
    patience: int,
    checkpoint: Literal["best", "last"],
    batch_size: int,
    devices: Devices,
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
        _run_trainer(module, last, [stopping, *saving], epochs, batch_size, devices)
    if _rank():
        return 0  # the first process may have deleted the checkpoints already
    chosen = SafetensorsIO().load_checkpoint(folder / f"{checkpoint}.ckpt")
    module.cpu().load_state_dict(chosen["state_dict"])
    return int(chosen["epoch"]) + 1


def _finished(checkpoint: dict[str, Any], stopping: EarlyStopping, epochs: float) -> bool:
    """Return whether the run that wrote `checkpoint` had nothing left to do; Lightning would train one epoch more."""
    waited = checkpoint["callbacks"][stopping.state_key]["wait_count"]
    return len(checkpoint["history"]) >= epochs or waited >= stopping.patience


def _run_trainer(
    module: LightningClassifier,
    last: Path,
    callbacks: list[Callback],
    epochs: float,
    batch_size: int,
    devices: Devices,
) -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    context, interactive = module.context, sys.stderr.isatty()
    trainer = Trainer(
        accelerator=devices.accelerator,
        devices=devices.devices,
        num_nodes=devices.num_nodes,
        strategy=devices.strategy,
        precision=devices.precision,
        use_distributed_sampler=False,  # ShuffledBatches divides the batches
        max_epochs=math.ceil(epochs),
        logger=module.curves,
        callbacks=callbacks + ([RichProgressBar()] if interactive else []),
        plugins=[SafetensorsIO()],
        enable_progress_bar=interactive,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    most = len(context.train) // devices.processes * devices.processes
    batches = ShuffledBatches(
        len(context.train),
        min(batch_size, most),
        module.seed,
        streamed=context.train.on_disk,
        hard_examples=module.hard_examples,
        losses=lambda: module.losses.cpu(),
    )
    all_passes = max(epochs, MIN_STEPS / len(batches))
    batches.passes = all_passes if epochs < 1 else math.ceil(all_passes / epochs)
    in_order = torch.arange(len(context.validation)).split(_batch_size(context.validation.shape))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # the data are in memory
        warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning 2.6 with torch 2.15
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")  # the folder of an interrupted run
        trainer.fit(
            module,
            _loader(context.train, batches),
            _loader(context.validation, in_order),
            ckpt_path=last if last.exists() else None,
        )


def check(devices: Devices, batch_size: int, model: str) -> None:
    """Check that this machine has `devices`, and that they can share a batch equally.

    Raises:
        InputError: it has not, or they cannot.
    """
    where, name = f"params.yaml: models.{model}.trainer", devices.accelerator
    available = {
        "cpu": os.cpu_count() or 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if not available[name]:
        found = ", ".join(other for other in available if available[other])
        raise InputError(f"{where}.accelerator: found {name!r}. Available here: {found}.")
    if devices.devices > available[name]:
        raise InputError(f"{where}.devices: found {devices.devices}. Available here: {available[name]} of {name}.")
    if name == "cpu" and devices.precision == "16-mixed":
        raise InputError(f"{where}.precision: found '16-mixed', which CPUs have not. Try 'bf16-mixed'.")
    if batch_size % devices.processes:
        raise InputError(
            f"params.yaml: models.{model}.batch_size: expected a multiple of {devices.processes}, the number of "
            f"processes, found {batch_size}."
        )


def _rank() -> int:
    """Return the number of this process among those that train together; 0 is the first."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def _processes() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


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


class _Batches(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """Batches of uint8 images, their labels and row numbers."""

    def __init__(self, images: LabelledImages) -> None:
        self.images = images

    def __getitem__(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        chosen = self.images.at(rows.numpy())
        return torch.from_numpy(chosen.channels_first()), torch.from_numpy(chosen.labels.astype(np.int64)), rows


def _batch_size(shape: Shape) -> int:
    """Return the number of images of a `shape` in a batch without gradients."""
    pixels = shape.height * shape.width
    return BATCH if pixels <= SIZE**2 else max(1, BATCH_PIXELS // pixels)


def _loader(images: LabelledImages, batches: Any) -> DataLoader[Any]:
    return DataLoader(_Batches(images), sampler=batches, batch_size=None)
