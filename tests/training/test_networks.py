from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn

from pipeline.artifact import Classifier, save
from pipeline.classifiers import cnn, lenet, mlp
from pipeline.errors import InputError
from pipeline.training import networks
from pipeline.training.networks import Learner, ShuffledBatches, Standardise

OPTIONS = {
    "epochs": 3,
    "patience": 3,
    "batch_size": 100,
    "lr": 0.01,
    "weight_decay": 0.01,
    "label_smoothing": 0.05,
    "augment": True,
}


def small() -> nn.Module:
    torch.manual_seed(0)
    return cnn.build(width=4, dropout=0.2)


@pytest.mark.parametrize(
    "network", [lenet.build(), cnn.build(width=8, dropout=0.5), mlp.build(hidden=[64, 32], dropout=0.5)]
)
def test_onnx_gives_what_torch_gives(network: nn.Module, random_images: np.ndarray, tmp_path: Path) -> None:
    whole = nn.Sequential(Standardise(0.13, 0.31), network)
    with torch.no_grad():
        whole(torch.from_numpy(random_images))  # statistics for the normalisations
        save(tmp_path, networks.export(whole), {})
        expected = whole.eval()(torch.from_numpy(random_images)).softmax(1).numpy()
    found = Classifier.load(tmp_path).probabilities(random_images)
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert np.abs(found - expected).max() < 1e-5


def test_learns(run_of) -> None:
    fitted = networks.fit(small(), run_of(), **OPTIONS | {"epochs": 8})
    assert fitted.facts["epochs"] == 8
    assert fitted.facts["parameters"] == sum(parameter.numel() for parameter in small().parameters())


def test_ships_the_weights_of_the_best_epoch(run_of, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that a later, worse epoch spoils must not be shipped."""
    run = run_of()
    one = networks.fit(small(), run, **OPTIONS | {"epochs": 4})
    spoilt = Learner.training_step

    def spoil(self: Learner, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> torch.Tensor:
        loss = spoilt(self, batch, step)
        return loss * (-50 if self.current_epoch >= 2 else 1)

    monkeypatch.setattr(Learner, "training_step", spoil)
    other = networks.fit(small(), replace(run, curves=run.curves.with_name("other")), **OPTIONS | {"epochs": 4})
    assert other.facts["best_epoch"] < 4
    assert other.model != one.model


def test_stops_early(run_of, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Learner.training_step
    monkeypatch.setattr(Learner, "training_step", lambda *batch: -original(*batch))  # ever worse
    fitted = networks.fit(small(), run_of(), **OPTIONS | {"epochs": 20, "patience": 2})
    assert fitted.facts["epochs"] < 20
    assert fitted.facts["epochs"] == fitted.facts["best_epoch"] + 2


def test_interrupted_training_ends_with_the_same_bytes(run_of, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    run = run_of()
    whole = networks.fit(small(), run, **OPTIONS)
    other = replace(run, curves=run.curves.with_name("other"))
    original = Learner.training_step

    def interrupt(self: Learner, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> torch.Tensor:
        if self.current_epoch == 2 and step == 3:
            raise SystemError("power cut")
        return original(self, batch, step)

    monkeypatch.setattr(Learner, "training_step", interrupt)
    with pytest.raises(SystemError):
        networks.fit(small(), other, **OPTIONS)
    monkeypatch.setattr(Learner, "training_step", original)
    for path in sorted(other.curves.rglob("*.tsv")):
        path.unlink()
    torch.manual_seed(99)
    resumed = networks.fit(small(), other, **OPTIONS)
    assert "going on from the interrupted run" in capsys.readouterr().out
    assert resumed.model == whole.model
    assert resumed.facts == whole.facts
    curves = {path.relative_to(run.curves): path.read_text() for path in run.curves.rglob("*.tsv")}
    assert curves == {path.relative_to(other.curves): path.read_text() for path in other.curves.rglob("*.tsv")}
    assert len(curves) == 4
    assert not run.checkpoints.exists()


def test_a_loss_that_is_no_number_stops_it(run_of) -> None:
    with pytest.raises(InputError, match=r"model: the loss is no longer a number in epoch 1 with lr 1e\+30"):
        networks.fit(lenet.build(), run_of(), **OPTIONS | {"lr": 1e30})


@pytest.mark.skipif(torch.cuda.is_available(), reason="has what the test wants absent")
def test_an_accelerator_that_is_not_there(run_of) -> None:
    run = run_of()
    asked = run.settings.model_copy(update={"runtime": run.settings.runtime.model_copy(update={"accelerator": "cuda"})})
    with pytest.raises(InputError, match=r"runtime.accelerator: asked for cuda, this machine has: cpu"):
        networks.fit(small(), replace(run, settings=asked), **OPTIONS)


def test_temperature_lowers_the_loss_and_changes_no_digit(run_of, tmp_path: Path) -> None:
    run = run_of()
    fitted = networks.fit(small(), run, **OPTIONS | {"label_smoothing": 0.3, "epochs": 6})
    assert fitted.facts["temperature"] != 1
    save(tmp_path / "calibrated", fitted.model, {})
    found = Classifier.load(tmp_path / "calibrated").probabilities(run.validation.scaled())
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
