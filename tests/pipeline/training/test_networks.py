import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn

from digits.errors import InputError
from digits.interface import PROBABILITIES
from pipeline.classifiers import cnn, cnn_fast, lenet, mlp
from pipeline.onnx_graph.export import DIGIT, to_onnx
from pipeline.params import Params
from pipeline.training import FittedModel, TrainingContext, networks
from pipeline.training.ensemble import Ensemble, Standardise, with_probabilities
from pipeline.training.networks import Devices, LightningClassifier, ShuffledBatches, _loader

ONE_CPU = Devices(accelerator="cpu", devices=1, num_nodes=1, strategy="auto", precision="32-true", compile=False)
ERRORS = "plots/metrics/validation/error.tsv"
OPTIONS = {
    "ensemble_size": 1,
    "tta": False,
    "refit": False,
    "epochs": 3,
    "patience": 3,
    "checkpoint": "best",
    "batch_size": 100,
    "lr": 0.01,
    "weight_decay": 0.01,
    "label_smoothing": 0.05,
    "hard_examples": 0.0,
    "trainer": ONE_CPU,
}


@pytest.fixture(autouse=True)
def _few_steps() -> Iterator[None]:
    """Pass the few images of these tests once in an epoch."""
    with mock.patch.object(networks, "MIN_STEPS", 1):
        yield


@pytest.fixture
def context(context_of: Callable[..., TrainingContext], settings: Params) -> TrainingContext:
    """Return a context with augmented batches."""
    return context_of(augmentation=settings.augmentation["standard"], threads=1)  # the fastest for a small network


def small() -> nn.Module:
    """Return a small network, always with the same initial weights."""
    torch.manual_seed(0)
    return cnn.build(DIGIT, 10, stem=4, stages=[[8], [16]], kernel_sizes=[3], dropout=0.2)


def infer(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Return the probabilities that ONNX Runtime computes."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([PROBABILITIES], {"images": images})[0]


def errors(context: TrainingContext) -> list[float]:
    """Return the validation error of each epoch."""
    return [float(line.split()[1]) for line in (context.curves / ERRORS).read_text().splitlines()[1:]]


def error(fitted: FittedModel, context: TrainingContext) -> float:
    """Return the validation error of the exported model."""
    found = infer(fitted.export(), context.validation.scaled()).argmax(axis=1)
    return float((found != context.validation.labels).mean())


@pytest.mark.parametrize(
    "network",
    [
        lenet.build(DIGIT, 10),
        cnn.build(DIGIT, 10, stem=8, stages=[[8, 12], [16]], kernel_sizes=[3], dropout=0.5),
        cnn_fast.build(DIGIT, 10, crop=2),
        mlp.build(DIGIT, 10, hidden=[64, 32], dropout=0.5),
    ],
    ids=["lenet", "cnn", "cnn_fast", "mlp"],
)
def test_onnx_and_torch_give_the_same_probabilities(network: nn.Module, random_images: np.ndarray) -> None:
    standardised = nn.Sequential(Standardise(0.13, 0.31), network)
    with torch.no_grad():
        standardised(torch.from_numpy(random_images))  # running statistics of the batch normalisations
        model = to_onnx(with_probabilities(standardised), PROBABILITIES)
        expected = standardised.eval()(torch.from_numpy(random_images)).softmax(1).numpy()
    found = infer(model, random_images)
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert np.abs(found - expected).max() < 1e-5


def test_an_ensemble_averages_its_networks_and_shifted_images(random_images: np.ndarray) -> None:
    images = torch.from_numpy(random_images)
    members = [nn.Sequential(nn.Flatten(), nn.Linear(784, 10)) for _ in range(2)]
    shifted = [images]
    for axis in (2, 3):
        for step in (-1, 1):
            rolled = images.roll(step, axis)
            rolled.select(axis, 0 if step == 1 else -1).zero_()
            shifted.append(rolled)
    with torch.no_grad():
        for tta in (False, True):
            expected = [member(image) for member in members for image in (shifted if tta else [images])]
            found = Ensemble(members, tta)(images)
            assert torch.allclose(found, torch.stack(expected).mean(0), atol=1e-6)
            mirrored = [member(image.flip(3)) for member in members for image in shifted] if tta else []
            found = Ensemble(members, tta, mirrored=True)(images)
            assert torch.allclose(found, torch.stack(expected + mirrored).mean(0), atol=1e-6)


@pytest.mark.parametrize("flip", [0.0, 0.5])
def test_mirror_images_are_averaged_if_training_mirrors(
    context: TrainingContext, settings: Params, random_images: np.ndarray, flip: float
) -> None:
    policy = settings.augmentation["none"].model_copy(update={"horizontal_flip": flip, "shift": 1.0})
    fitted = networks.fit(small(), replace(context, augmentation=policy), **OPTIONS | {"epochs": 1, "tta": True})
    model = fitted.export()
    straight, mirrored = infer(model, random_images), infer(model, random_images[:, :, :, ::-1])
    assert np.allclose(straight, mirrored, atol=1e-5) == (flip > 0)


def test_networks_of_an_ensemble_differ(context: TrainingContext) -> None:
    fitted = networks.fit(small(), context, **OPTIONS | {"ensemble_size": 2, "tta": True})
    assert fitted.metadata["epochs"] == len(errors(context)) == 6
    assert fitted.metadata["parameters"] == 2 * sum(parameter.numel() for parameter in small().parameters())
    assert errors(context)[:3] != errors(context)[3:]
    assert error(fitted, context) < 0.2


def test_an_ensemble_has_networks_of_each_kernel_size(context: TrainingContext) -> None:
    torch.manual_seed(0)
    build = {"stem": 4, "stages": [[8], [16]], "kernel_sizes": [1, 3, 5], "dropout": 0.0}
    fitted = networks.fit(cnn.build(DIGIT, 10, **build), context, **OPTIONS | {"ensemble_size": 2, "epochs": 2})
    (model,) = fitted.predict_proba.args
    members = list(model[0].networks)
    assert [member[1][3].kernel_size[0] for member in members] == [1, 3, 5, 1, 3, 5]
    assert not torch.equal(members[1][1][0].weight, members[4][1][0].weight)
    weights = fitted.metadata["weights"]
    assert weights == model[0].weights
    assert sum(weights) == pytest.approx(1, abs=0.01)
    assert error(fitted, context) < 0.3


REFIT = OPTIONS | {"checkpoint": "last", "epochs": 5, "patience": 5}


def test_a_refit_learns_the_validation_images_and_is_validated_by_the_training_before(context: TrainingContext) -> None:
    others = replace(context.validation, labels=(context.validation.labels + 5) % 10)
    context = replace(context, train=context.train.first(300), validation=others)
    plain = networks.fit(small(), context, **REFIT)
    curves = {path: path.read_text() for path in context.curves.rglob("*.tsv")}
    fitted = networks.fit(small(), context, **REFIT | {"refit": True})
    assert fitted.export_before_refit is not None
    assert fitted.export_before_refit() == plain.export()
    assert error(plain, context) > error(fitted, context) + 0.2
    assert fitted.metadata == plain.metadata | {"refit_images": 300 + len(others)}
    assert {path: path.read_text() for path in context.curves.rglob("*.tsv")} == curves
    assert not context.checkpoints.exists()
    assert plain.export_before_refit is None


@pytest.mark.parametrize("change", [{"checkpoint": "best"}, {"patience": 4}])
def test_a_refit_cannot_select_an_epoch(context: TrainingContext, change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"model.refit: expected checkpoint: last and patience: 5, found"):
        networks.fit(small(), context, **REFIT | {"refit": True} | change)


def test_training_lowers_the_error(context: TrainingContext) -> None:
    fitted = networks.fit(small(), context, **OPTIONS | {"epochs": 8})
    assert fitted.metadata["epochs"] == 8
    assert fitted.metadata["parameters"] == sum(parameter.numel() for parameter in small().parameters())
    assert error(fitted, context) < 0.1


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_the_weights_are_those_of_the_chosen_checkpoint(
    context: TrainingContext, monkeypatch: pytest.MonkeyPatch, checkpoint: str
) -> None:
    """The last epochs make the network worse, which only the last checkpoint shows."""
    original = LightningClassifier.training_step

    def worsen(self: LightningClassifier, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> torch.Tensor:
        return original(self, batch, step) * (-50 if self.current_epoch >= 3 else 1)

    monkeypatch.setattr(LightningClassifier, "training_step", worsen)
    monkeypatch.setattr(networks, "DIVERGED", float("inf"))
    fitted = networks.fit(small(), context, **OPTIONS | {"epochs": 5, "checkpoint": checkpoint})
    best, last = min(errors(context)), errors(context)[-1]
    assert last > best
    expected = 5 if checkpoint == "last" else 1 + errors(context).index(best)
    assert fitted.metadata["checkpoint_epochs"] == [expected]
    assert error(fitted, context) == pytest.approx(last if checkpoint == "last" else best, abs=1e-6)


def freeze(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Set the gradients to zero from `epoch` on."""
    original = LightningClassifier.training_step
    monkeypatch.setattr(
        LightningClassifier,
        "training_step",
        lambda self, *batch: original(self, *batch) * float(self.current_epoch < epoch),
    )


def test_training_stops_early_without_improvement(context: TrainingContext, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze(monkeypatch, 2)
    fitted = networks.fit(small(), context, **OPTIONS | {"epochs": 30, "patience": 2})
    assert fitted.metadata["epochs"] < 30
    assert [fitted.metadata["epochs"] - 2] == fitted.metadata["checkpoint_epochs"]


def interrupt(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, when: Callable[..., bool]) -> None:
    """Make `owner.name` fail once, as after a power cut, when `when` of its arguments is true."""
    original = getattr(owner, name)

    def cut(*arguments: object, **options: object) -> object:
        if when(*arguments):
            monkeypatch.setattr(owner, name, original)
            raise SystemError("power cut")
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, cut)


@pytest.mark.parametrize(
    ("moment", "checkpoint"),
    [
        ("in the last epoch", "best"),
        ("in the last epoch", "last"),
        ("after the last epoch", "best"),
        ("after the last epoch", "last"),
        ("before early stopping", "best"),
        ("after early stopping", "best"),
        ("after early stopping", "last"),
        ("in the second network", "best"),
        ("in the refit", "last"),
        ("among hard examples", "last"),
    ],
)
def test_interrupted_training_ends_with_the_same_bytes(
    context: TrainingContext,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    moment: str,
    checkpoint: str,
) -> None:
    options: dict[str, Any] = OPTIONS | {"checkpoint": checkpoint, "batch_size": 50}
    context = replace(context, train=context.train.first(500))
    stops_early = moment.endswith("early stopping")
    if stops_early:
        options |= {"epochs": 30, "patience": 2}
        freeze(monkeypatch, 2)
    if moment == "in the second network":
        options |= {"ensemble_size": 2}
    if moment == "in the refit":
        options |= {"refit": True}
    if moment == "among hard examples":
        options |= {"hard_examples": 0.2}
        monkeypatch.setattr(networks, "WARM_EPOCHS", 1)
    whole = networks.fit(small(), context, **options)
    other = replace(context, curves=tmp_path / "other", checkpoints=tmp_path / "checkpoints of other")
    in_epoch = {"before early stopping": whole.metadata["epochs"] - 1}.get(moment, 2)  # from 0
    if moment.startswith("after"):
        interrupt(monkeypatch, networks, "calibrate", lambda *_: True)
        monkeypatch.setattr(networks.shutil, "rmtree", lambda *_, **__: None)
    else:
        number, images = options["ensemble_size"] - 1, len(context.train) + options["refit"] * len(context.validation)

        def is_then(self: LightningClassifier, _: Any, step: int) -> bool:
            here = bool(self.earlier) == number and len(self.context.train) == images
            return here and self.current_epoch == in_epoch and step == 3

        interrupt(monkeypatch, LightningClassifier, "training_step", is_then)
    with pytest.raises(SystemError):
        networks.fit(small(), other, **options)
    monkeypatch.undo()
    if stops_early:
        freeze(monkeypatch, 2)
    if moment == "among hard examples":
        monkeypatch.setattr(networks, "WARM_EPOCHS", 1)
    steps = count_steps(monkeypatch)
    shutil.rmtree(other.curves)  # DVC deletes the outputs of a stage before it runs
    torch.manual_seed(99)
    resumed = networks.fit(
        cnn.build(DIGIT, 10, stem=4, stages=[[8], [16]], kernel_sizes=[3], dropout=0.2), other, **options
    )
    assert len(steps) == (0 if moment.startswith("after") else images // options["batch_size"])
    assert "model: resuming from" in capsys.readouterr().out
    assert weights(resumed) == weights(whole)
    if moment == "in the last epoch" and checkpoint == "best":
        assert resumed.export() == whole.export()
    assert resumed.metadata == whole.metadata
    curves = {path.relative_to(context.curves): path.read_text() for path in context.curves.rglob("*.tsv")}
    assert curves == {path.relative_to(other.curves): path.read_text() for path in other.curves.rglob("*.tsv")}
    assert len(curves) == 4
    assert not other.checkpoints.exists()


def weights(fitted: FittedModel) -> dict[str, bytes]:
    """Return the bytes of all parameters and buffers, by name."""
    (model,) = fitted.predict_proba.args
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def count_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one with every training step."""
    steps: list[int] = []
    original = LightningClassifier.training_step

    def counted(self: LightningClassifier, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> torch.Tensor:
        steps.append(step)
        return original(self, batch, step)

    monkeypatch.setattr(LightningClassifier, "training_step", counted)
    return steps


@pytest.mark.parametrize("lr", [1e30, 300.0])
def test_diverging_training_is_an_error(context: TrainingContext, lr: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "FIRST_STEPS", 3)
    with pytest.raises(
        InputError, match=r"model: training diverges: the loss is .* in epoch \d with lr .*models\.model"
    ):
        networks.fit(lenet.build(DIGIT, 10), context, **OPTIONS | {"lr": lr})


def test_the_loss_may_overshoot_in_the_first_steps(context: TrainingContext) -> None:
    networks.fit(lenet.build(DIGIT, 10), context, **OPTIONS | {"lr": 300.0, "epochs": 1})
    epochs = (context.curves / "plots/metrics/train/loss.tsv").read_text().split()
    assert float(epochs[-1]) > networks.DIVERGED * np.log(10)


def test_an_absent_accelerator_is_an_error(context: TrainingContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"models\.model\.trainer\.accelerator: found 'cuda'\. Available here: cpu"):
        networks.fit(small(), context, **OPTIONS | {"trainer": ONE_CPU.model_copy(update={"accelerator": "cuda"})})


def test_the_temperature_lowers_the_loss_and_changes_no_digit(context: TrainingContext) -> None:
    fitted = networks.fit(small(), context, **OPTIONS | {"label_smoothing": 0.3, "epochs": 6})
    assert fitted.metadata["temperature_kept"]
    assert fitted.metadata["temperature"] < 1  # label smoothing makes a network underconfident
    found = infer(fitted.export(), context.validation.scaled())
    assert np.abs(found - fitted.predict_proba(context.validation)).max() < 1e-5
    plain = found ** fitted.metadata["temperature"]  # softmax(x / t) ** t is softmax(x), up to a factor
    plain /= plain.sum(axis=1, keepdims=True)
    assert log_loss(context.validation.labels, found) < log_loss(context.validation.labels, plain)
    assert np.array_equal(found.argmax(1), plain.argmax(1))


def test_batches_are_shuffled_by_seed_and_epoch() -> None:
    batches = ShuffledBatches(1050, 100, seed=1)
    first = torch.cat(list(batches))
    assert len(batches) == 10
    assert len(first.unique()) == 1000
    assert torch.equal(first, torch.cat(list(batches)))
    batches.set_epoch(1)
    assert not torch.equal(first, torch.cat(list(batches)))
    assert not torch.equal(first, torch.cat(list(ShuffledBatches(1050, 100, seed=2))))


def test_few_images_are_passed_several_times_in_an_epoch() -> None:
    batches = ShuffledBatches(25, 10, seed=1, passes=3)
    order = list(batches)
    assert [len(batch) for batch in order] == [10] * len(batches) == [10] * 6
    passes = [torch.cat(order[start : start + 2]) for start in (0, 2, 4)]
    assert all(len(rows.unique()) == 20 for rows in passes)
    assert not torch.equal(passes[0], passes[1])


def test_less_than_one_epoch_uses_some_of_the_images() -> None:
    rows = torch.cat(list(ShuffledBatches(1000, 100, seed=1, passes=0.38)))
    assert len(rows.unique()) == len(rows) == 400


def test_images_with_the_largest_losses_are_drawn_more_often_after_the_first_epochs() -> None:
    losses = torch.zeros(1000)
    losses[300:400] = 1
    batches = ShuffledBatches(1000, 100, seed=1, hard_examples=0.1, losses=lambda: losses)
    first = torch.cat(list(batches))
    assert sorted(first.tolist()) == list(range(1000))
    batches.set_epoch(networks.WARM_EPOCHS)
    counts = torch.cat(list(batches)).bincount(minlength=1000)
    assert counts.sum() == 1000
    assert (counts[300:400] == 5).all()
    assert 300 < (counts > 0).sum() < 600
    few = ShuffledBatches(7, 7, seed=1, hard_examples=0.01, losses=lambda: torch.arange(7.0))
    few.set_epoch(networks.WARM_EPOCHS)
    assert sorted(torch.cat(list(few)).tolist()) == list(range(7))


def test_wrong_labels_are_hard_examples(context: TrainingContext) -> None:
    wrong, labels = 50, context.train.labels.copy()
    labels[:wrong] = (labels[:wrong] + 5) % 10
    context = replace(context, train=replace(context.train, labels=labels))
    drawn = np.zeros(len(labels))
    step = LightningClassifier.training_step

    def counted(self: LightningClassifier, batch: Any, number: int) -> torch.Tensor:
        np.add.at(drawn, batch[2].numpy(), 1)
        return step(self, batch, number)

    with mock.patch.object(LightningClassifier, "training_step", counted):
        networks.fit(small(), context, **OPTIONS | {"hard_examples": 0.2, "epochs": 8, "patience": 8})
    assert drawn.sum() == 8 * (len(labels) // 100) * 100
    assert drawn[:wrong].mean() > 1.5 * drawn[wrong:].mean()


def test_each_process_knows_the_losses_of_all(context: TrainingContext) -> None:
    settings = {"lr": 0.01, "weight_decay": 0.01, "label_smoothing": 0.0}
    module = LightningClassifier(small(), context, 1, **settings, hard_examples=0.1)
    batch = _loader(context.train, [torch.arange(100)])
    theirs = torch.arange(100, 200), torch.linspace(1, 2, 100)

    def gathered(ours: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return tuple(torch.stack(pair) for pair in zip(ours, theirs, strict=True))

    with mock.patch.object(module, "all_gather", gathered):
        module.training_step(next(iter(batch)), 0)
    assert (module.losses[:100] > 0).all()
    assert torch.allclose(module.losses[100:200], networks.LOSS_MOMENTUM * theirs[1])
    assert (module.losses[200:] == 0).all()


@pytest.mark.parametrize(("epochs", "steps"), [(3, 102), (60, 120), (0.5, 100)])
def test_a_training_has_a_least_number_of_steps(
    context: TrainingContext, monkeypatch: pytest.MonkeyPatch, epochs: float, steps: int
) -> None:
    seen = []
    monkeypatch.setattr(networks, "MIN_STEPS", 100)
    monkeypatch.setattr(LightningClassifier, "on_train_end", lambda self: seen.append(self.global_step), raising=False)
    few = replace(context, train=context.train.first(60))
    networks.fit(small(), few, **OPTIONS | {"epochs": epochs, "patience": 60, "batch_size": 30})
    assert seen == [steps]


def test_images_on_disk_are_shuffled_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "BLOCK", 10)
    monkeypatch.setattr(networks, "WINDOW", 3)
    batches = ShuffledBatches(105, 5, seed=1, streamed=True)
    order = torch.cat(list(batches))
    assert sorted(order.tolist()) == list(range(105))
    for block in range(11):
        places = (order // 10 == block).nonzero()
        assert places.max() - places.min() < 30
    assert set((order[:20] // 10).tolist()) != {0, 1, 2}
    assert order[:10].diff().abs().max() > 1
    assert torch.equal(order, torch.cat(list(batches)))
    batches.set_epoch(1)
    assert not torch.equal(order, torch.cat(list(batches)))


def test_hard_examples_on_disk_are_read_in_windows_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "BLOCK", 10)
    monkeypatch.setattr(networks, "WINDOW", 3)
    losses = (torch.arange(1000) % 10 == 0).float()
    batches = ShuffledBatches(1000, 20, seed=1, streamed=True, hard_examples=0.1, losses=lambda: losses)
    batches.set_epoch(networks.WARM_EPOCHS)
    rows = torch.cat(list(batches))
    assert len(rows) == 1000
    assert (rows.bincount(minlength=1000)[::10] == 5).all()
    window = rows[:30].sort().values  # 30 of 200 rows from all of the file, in three blocks of neighbours
    assert (window.diff() > 50).sum() <= 2


def test_few_images_are_shared_equally_by_the_processes(
    context: TrainingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def batches(count: int, batch_size: int, *_: Any, **__: Any) -> None:
        sizes.append((count, batch_size))
        raise KeyboardInterrupt

    monkeypatch.setattr(networks, "Trainer", mock.Mock())
    monkeypatch.setattr(networks, "ShuffledBatches", batches)
    few = replace(context, train=context.train.first(55))
    two = ONE_CPU.model_copy(update={"devices": 2, "strategy": "ddp"})
    with pytest.raises(KeyboardInterrupt):
        networks.fit(small(), few, **OPTIONS | {"trainer": two})
    assert sizes == [(55, 54)]


def test_each_process_gets_its_share_of_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(ShuffledBatches(100, 20, seed=1))
    monkeypatch.setattr(networks, "_processes", lambda: 2)
    shares = []
    for rank in (0, 1):
        monkeypatch.setattr(networks, "_rank", lambda rank=rank: rank)
        shares.append(list(ShuffledBatches(100, 20, seed=1)))
    for batch, first, second in zip(whole, *shares, strict=True):
        assert len(first) == len(second) == 10
        assert sorted(batch.tolist()) == sorted([*first.tolist(), *second.tolist()])


@pytest.mark.parametrize(
    ("changes", "batch_size", "message"),
    [
        ({"devices": 1000}, 1000, r"models\.m\.trainer\.devices: found 1000\. Available here: \d+ of cpu"),
        ({"precision": "16-mixed"}, 100, r"models\.m\.trainer\.precision: found '16-mixed', which CPUs have not"),
        ({"num_nodes": 3}, 100, r"models\.m\.batch_size: expected a multiple of 3, the number of processes, found 100"),
    ],
)
def test_unsuitable_devices_are_an_error(changes: dict[str, Any], batch_size: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        networks.check(ONE_CPU.model_copy(update=changes), batch_size, "m")
    networks.check(ONE_CPU, batch_size, "m")


def test_a_batch_is_at_most_all_images() -> None:
    batches = ShuffledBatches(50, 100, seed=1)
    assert len(batches) == 1
    assert sorted(torch.cat(list(batches)).tolist()) == list(range(50))
