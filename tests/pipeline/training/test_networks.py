import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn

from digits.errors import InputError
from digits.model import OUTPUT, Classifier, save
from pipeline.classifiers import cnn, cnn_fast, lenet, mlp
from pipeline.onnx_graph.export import to_onnx
from pipeline.training import Fitted, Run, networks
from pipeline.training.networks import Learner, Mean, ShuffledBatches, Standardise

VALIDATION = "plots/metrics/validation/accuracy.tsv"
OPTIONS = {
    "members": 1,
    "views": False,
    "epochs": 3,
    "patience": 3,
    "keep": "best",
    "batch_size": 100,
    "lr": 0.01,
    "weight_decay": 0.01,
    "label_smoothing": 0.05,
    "augment": True,
}


def small() -> nn.Module:
    torch.manual_seed(0)
    return cnn.build(stem=4, stages=[[8], [16]], dropout=0.2)


@pytest.mark.parametrize(
    "network",
    [
        lenet.build(),
        cnn.build(stem=8, stages=[[8, 12], [16]], dropout=0.5),
        cnn_fast.build(),
        mlp.build(hidden=[64, 32], dropout=0.5),
    ],
)
def test_onnx_gives_what_torch_gives(network: nn.Module, random_images: np.ndarray, tmp_path: Path) -> None:
    whole = nn.Sequential(Standardise(0.13, 0.31), network)
    with torch.no_grad():
        whole(torch.from_numpy(random_images))  # statistics for the normalisations
        save(tmp_path, to_onnx(networks.calibrated(whole), OUTPUT), {})
        expected = whole.eval()(torch.from_numpy(random_images)).softmax(1).numpy()
    found = Classifier.load(tmp_path).probabilities(random_images)
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert np.abs(found - expected).max() < 1e-5


def test_a_model_is_the_mean_of_its_members_and_views(random_images: np.ndarray) -> None:
    images = torch.from_numpy(random_images)
    members = [nn.Sequential(nn.Flatten(), nn.Linear(784, 10)) for _ in range(2)]
    moved = [images]
    for axis in (2, 3):
        for step in (-1, 1):
            turned = images.roll(step, axis)
            turned.select(axis, 0 if step == 1 else -1).zero_()
            moved.append(turned)
    with torch.no_grad():
        for views in (False, True):
            expected = [member(image) for member in members for image in (moved if views else [images])]
            found = Mean(members, views)(images)
            assert torch.allclose(found, torch.stack(expected).mean(0), atol=1e-6)


def test_members_differ(run_of, tmp_path: Path) -> None:
    run = run_of()
    fitted = networks.fit(small(), run, **OPTIONS | {"members": 2, "views": True})
    assert fitted.facts["epochs"] == len(accuracies(run)) == 6
    assert fitted.facts["parameters"] == 2 * sum(parameter.numel() for parameter in small().parameters())
    assert accuracies(run)[:3] != accuracies(run)[3:]
    assert accuracy(fitted, run, tmp_path / "model") > 0.8


def accuracies(run: Run) -> list[float]:
    """Return the validation accuracy of each epoch."""
    return [float(line.split()[1]) for line in (run.curves / VALIDATION).read_text().splitlines()[1:]]


def accuracy(fitted: Fitted, run: Run, folder: Path) -> float:
    """Return the validation accuracy of the shipped model."""
    save(folder, fitted.export(), {})
    return float((Classifier.load(folder).predict(run.validation.scaled()) == run.validation.labels).mean())


def test_learns(run_of, tmp_path: Path) -> None:
    run = run_of()
    fitted = networks.fit(small(), run, **OPTIONS | {"epochs": 8})
    assert fitted.facts["epochs"] == 8
    assert fitted.facts["parameters"] == sum(parameter.numel() for parameter in small().parameters())
    assert accuracy(fitted, run, tmp_path / "model") > 0.9


@pytest.mark.parametrize("keep", ["best", "last"])
def test_ships_the_weights_of_the_epoch_asked_for(
    run_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str
) -> None:
    """Weights that a later, worse epoch spoils are shipped only if the last are asked for."""
    run, original = run_of(), Learner.training_step

    def spoil(self: Learner, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> torch.Tensor:
        loss = original(self, batch, step)
        return loss * (-50 if self.current_epoch >= 3 else 1)

    monkeypatch.setattr(Learner, "training_step", spoil)
    monkeypatch.setattr(networks, "DIVERGED", float("inf"))
    fitted = networks.fit(small(), run, **OPTIONS | {"epochs": 5, "keep": keep})
    best, last = max(accuracies(run)), accuracies(run)[-1]
    assert last < best
    assert fitted.facts["kept_epochs"] == [5 if keep == "last" else 1 + accuracies(run).index(best)]
    assert accuracy(fitted, run, tmp_path / "model") == pytest.approx(last if keep == "last" else best)


def hold(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Make the network learn nothing more from `epoch` on."""
    original = Learner.training_step
    monkeypatch.setattr(
        Learner, "training_step", lambda self, *batch: original(self, *batch) * float(self.current_epoch < epoch)
    )


def test_stops_early(run_of, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(monkeypatch, 2)
    fitted = networks.fit(small(), run_of(), **OPTIONS | {"epochs": 30, "patience": 2})
    assert fitted.facts["epochs"] < 30
    assert [fitted.facts["epochs"] - 2] == fitted.facts["kept_epochs"]


def interrupt(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, when: Callable[..., bool]) -> None:
    """Make `owner.name` fail like a power cut, once, when `when` of its arguments."""
    original = getattr(owner, name)

    def cut(*arguments: object, **options: object) -> object:
        if when(*arguments):
            monkeypatch.setattr(owner, name, original)
            raise SystemError("power cut")
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, cut)


@pytest.mark.parametrize(
    ("moment", "moved"),
    [
        ("in the last epoch", False),
        ("in the last epoch", True),
        ("after the last epoch", True),
        ("after it stopped early", False),
        ("in the second member", False),
    ],
)
def test_interrupted_training_ends_with_the_same_bytes(
    run_of, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path, moment: str, moved: bool
) -> None:
    options = OPTIONS
    if moment == "after it stopped early":
        hold(monkeypatch, 2)
        options = OPTIONS | {"epochs": 30, "patience": 2}
    if moment == "in the second member":
        options = OPTIONS | {"members": 2}
    run = run_of()
    whole = networks.fit(small(), run, **options)
    other = replace(run, curves=tmp_path / "other", checkpoints=tmp_path / "checkpoints of other")
    if moment.startswith("in the"):
        last = options["members"] - 1
        interrupt(
            monkeypatch,
            Learner,
            "training_step",
            lambda self, _, step: bool(self.earlier) == last and self.current_epoch == 2 and step == 3,
        )
    else:
        interrupt(monkeypatch, networks, "calibrate", lambda *_: True)
        monkeypatch.setattr(networks.shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(SystemError):
        networks.fit(small(), other, **options)
    monkeypatch.undo()
    if moment == "after it stopped early":
        hold(monkeypatch, 2)
    steps = count_steps(monkeypatch)
    shutil.rmtree(other.curves)  # DVC empties outputs
    if moved:
        other.checkpoints.rename(tmp_path / "moved")
        other = replace(other, checkpoints=tmp_path / "moved")
    torch.manual_seed(99)
    resumed = networks.fit(cnn.build(stem=4, stages=[[8], [16]], dropout=0.2), other, **options)
    assert len(steps) == (10 if moment.startswith("in the") else 0)
    assert "going on from the interrupted run" in capsys.readouterr().out
    assert resumed.export() == whole.export()
    assert resumed.facts == whole.facts
    curves = {path.relative_to(run.curves): path.read_text() for path in run.curves.rglob("*.tsv")}
    assert curves == {path.relative_to(other.curves): path.read_text() for path in other.curves.rglob("*.tsv")}
    assert len(curves) == 4
    assert not other.checkpoints.exists()


def count_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by one with every training step."""
    steps: list[int] = []
    original = Learner.training_step

    def counted(self: Learner, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> torch.Tensor:
        steps.append(step)
        return original(self, batch, step)

    monkeypatch.setattr(Learner, "training_step", counted)
    return steps


@pytest.mark.parametrize("lr", [1e30, 300.0])
def test_a_loss_that_diverges_stops_it(run_of, lr: float) -> None:
    with pytest.raises(InputError, match=r"model: the loss is .* in epoch \d with lr .*: it diverges"):
        networks.fit(lenet.build(), run_of(), **OPTIONS | {"lr": lr})


def test_learning_nothing_ships_nothing(run_of) -> None:
    with pytest.raises(InputError, match="no better on validation than always the same digit"):
        networks.fit(nn.Sequential(nn.Flatten(), Constant()), run_of(), **OPTIONS)


class Constant(nn.Module):
    """A network that cannot tell digits apart."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(1, 10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), 10)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has what the test wants absent")
def test_an_accelerator_that_is_not_there(run_of) -> None:
    run = run_of()
    asked = run.settings.model_copy(update={"runtime": run.settings.runtime.model_copy(update={"accelerator": "cuda"})})
    with pytest.raises(InputError, match=r"runtime.accelerator: asked for cuda, this machine has: cpu"):
        networks.fit(small(), replace(run, settings=asked), **OPTIONS)


def test_temperature_lowers_the_loss_and_changes_no_digit(run_of, tmp_path: Path) -> None:
    run = run_of()
    fitted = networks.fit(small(), run, **OPTIONS | {"label_smoothing": 0.3, "epochs": 6})
    assert fitted.facts["temperature_kept"]
    assert fitted.facts["temperature"] < 1  # label smoothing makes a network too little sure of itself
    save(tmp_path / "calibrated", fitted.export(), {})
    found = Classifier.load(tmp_path / "calibrated").probabilities(run.validation.scaled())
    assert np.abs(found - fitted.probabilities(run.validation)).max() < 1e-5
    plain = found ** fitted.facts["temperature"]  # softmax(x / t) to the power t is softmax(x), but for its sum
    plain /= plain.sum(axis=1, keepdims=True)
    assert log_loss(run.validation.labels, found) < log_loss(run.validation.labels, plain)
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


def test_a_batch_larger_than_the_data(run_of) -> None:
    assert len(ShuffledBatches(50, 100, seed=1)) == 1
