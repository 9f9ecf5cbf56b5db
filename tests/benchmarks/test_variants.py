from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import variants
from digits import measurements
from pipeline.classifiers import cnn, cnn_fast
from pipeline.onnx_graph.export import DIGIT
from pipeline.training import TrainingContext, networks
from tests.pipeline.training.test_networks import OPTIONS

HOW = OPTIONS | {"checkpoint": "last", "epochs": 4, "patience": 4, "tta": True}


@pytest.fixture(autouse=True)
def _few_steps() -> Iterator[None]:
    """Pass the few images of these tests once in an epoch."""
    with mock.patch.object(networks, "MIN_STEPS", 1):
        yield


@pytest.fixture
def context(context_of: Callable[..., TrainingContext]) -> TrainingContext:
    return context_of()


def trained(context: TrainingContext, variant: Any = None, **options: Any) -> tuple[np.ndarray, nn.Sequential]:
    """Return the validation probabilities of a small network that was trained, and the network."""
    torch.manual_seed(0)
    with variant or nullcontext():
        network = cnn.build(DIGIT, 10, stem=4, stages=[[8], [16]], kernel_sizes=[3], dropout=0.0)
        fitted = networks.fit(network, context, **HOW | options)
        return fitted.predict_proba(context.validation), network


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_a_variant_changes_what_is_trained_and_nothing_after_it(name: str, context: TrainingContext) -> None:
    before, _ = trained(context)
    found, _ = trained(context, variants.VARIANTS[name]())
    after, _ = trained(context)
    assert not np.array_equal(found, before)
    assert (found.argmax(1) == context.validation.labels).mean() > 0.8
    assert np.array_equal(after, before)


def test_batch_normalisation_is_estimated_on_unchanged_images(context: TrainingContext) -> None:
    _, network = trained(context, variants.precise_batch_norm(count=300))
    with torch.no_grad():
        images = (torch.from_numpy(context.train.first(300).scaled()) - context.mean) / context.std
        expected = network[0](images).mean((0, 2, 3))
    assert torch.allclose(network[1].running_mean, expected, atol=1e-4)


def test_a_network_learns_from_its_teachers_without_labels(context: TrainingContext) -> None:
    found, _ = trained(context, variants.distilled(teachers=1, share=1.0))
    assert (found.argmax(1) == context.validation.labels).mean() > 0.8


def test_images_that_are_hard_for_a_small_network_are_drawn_more_often(context: TrainingContext) -> None:
    wrong = 50
    labels = context.train.labels.copy()
    labels[:wrong] = (labels[:wrong] + 5) % 10
    hard = replace(context, train=replace(context.train, labels=labels))
    losses = variants._proxy_losses(hard, 3)
    assert losses[:wrong].quantile(0.1) > losses[wrong:].median()
    batches = variants._hardest_batches(losses, 0.1, 0.1)(len(labels), 20, 0)
    rows = torch.cat(list(batches))
    assert len(rows) == len(labels) // 20 * 20
    assert (rows < wrong).float().mean() > 2 * wrong / len(labels)


def slanted(width: int, shear: float) -> np.ndarray:
    """Return an upright bar of a width, 20 pixels high, that is then sheared to the right."""
    image = np.zeros((28, 28), np.float32)
    for row in range(4, 24):
        left = round(10 - width / 2 + shear * (24 - row))
        image[row, left : left + width] = 1
    return image


def test_deskewed_images_have_no_slant() -> None:
    images = np.stack([slanted(4, shear) for shear in (0, 0.2, 0.6)])
    found = variants._Deskewed(0.0, 1.0)(torch.from_numpy(images)[:, None])[:, 0].numpy()
    assert np.allclose(measurements.slant(found * 255), 0, atol=1.5)
    assert np.allclose(found.sum((1, 2)), images.sum((1, 2)), rtol=0.05)


def test_digits_are_equally_wide() -> None:
    images = np.stack([slanted(width, 0) for width in (4, 8, 12, 20)] + [np.zeros((28, 28), np.float32)])
    found = variants._WidthNormalised(0.0, 1.0)(torch.from_numpy(images)[:, None])[:, 0].numpy()
    widths = (found > 0.5).any(1).sum(1)
    assert widths.tolist() == [8, 16, 16, 16, 0]
    columns = np.flatnonzero((found[0] > 0.5).any(0))
    assert columns.mean() == 13.5


def test_weights_move_towards_their_average(context: TrainingContext) -> None:
    def steps_of(variant: Any) -> list[torch.Tensor]:
        weight = nn.Parameter(torch.zeros(3, 3))
        module = nn.Module()
        module.register_parameter("weight", weight)
        with variant:
            adamw, schedule = networks.optimizer(module, 0.1, 0.0, 10)
        seen = []
        for _ in range(10):
            weight.grad = -torch.ones(3, 3)
            adamw.step()
            schedule.step()
            seen.append(weight.detach().clone())
        return seen

    plain, moved = steps_of(nullcontext()), steps_of(variants.lookahead(every=5, decay=0.9))
    kept = 0.9**5 * 0.5**3
    assert torch.equal(moved[3], plain[3])
    assert torch.allclose(moved[4], (1 - kept) * plain[4])
    assert torch.equal(moved[9], moved[4])  # the average in the end


def test_biases_learn_faster(context: TrainingContext) -> None:
    network = cnn.build(DIGIT, 10, stem=4, stages=[[8], [16]], kernel_sizes=[3], dropout=0.0)
    with variants.bias_lr(factor=8.0):
        adamw, schedule = networks.optimizer(network, 0.1, 0.0, 10)
    largest = {}
    for _ in range(10):
        for group in adamw.param_groups:
            for parameter in group["params"]:
                largest[id(parameter)] = max(largest.get(id(parameter), 0), group["lr"])
        adamw.step()
        schedule.step()
    found = {name: largest[id(parameter)] for name, parameter in network.named_parameters()}
    assert len(found) == len(largest)
    assert found["1.bias"] == pytest.approx(8 * found["1.weight"])
    assert found["0.weight"] == found["1.weight"] == found["13.bias"]


def test_convolutions_begin_as_the_identity(context: TrainingContext) -> None:
    _, network = trained(context, variants.dirac(), epochs=1, lr=1e-9)
    for number in range(4):
        assert torch.allclose(network[3].weight[number, number, 1, 1], torch.tensor(1.0), atol=1e-4)
    assert network[3].weight[0].abs().sum().item() == pytest.approx(1, abs=1e-3)


def test_the_first_convolution_begins_with_equal_variances(context: TrainingContext) -> None:
    _, network = trained(context, variants.whitening(), epochs=1, lr=1e-9)
    with torch.no_grad():
        images = (torch.from_numpy(context.train.scaled()) - context.mean) / context.std
        rows = network[0](images).permute(1, 0, 2, 3).flatten(1)
    covariance = torch.cov(rows)
    assert torch.allclose(covariance, torch.eye(4), atol=0.02)


def test_activations_are_replaced(context: TrainingContext) -> None:
    for name, activation in (("relu", torch.nn.ReLU), ("hardswish", torch.nn.Hardswish)):
        with variants.VARIANTS[name]():
            layers = list(cnn_fast.build(DIGIT, 10, crop=2))
        assert sum(isinstance(layer, activation) for layer in layers) == 3
    assert not any(isinstance(layer, torch.nn.Hardswish) for layer in cnn_fast.build(DIGIT, 10, crop=2))


def test_frozen_layers_keep_their_weights(context: TrainingContext) -> None:
    seen = []
    start = networks.LightningClassifier.on_validation_epoch_end

    def keep(module: Any) -> None:
        seen.append({name: value.clone() for name, value in module.network[1].state_dict().items()})
        start(module)

    with mock.patch.object(networks.LightningClassifier, "on_validation_epoch_end", keep):
        trained(context, variants.frozen(after=0.5))
    (_, second, third, last) = seen
    for name in ("0.weight", "1.bias", "3.weight", "5.weight"):
        assert torch.equal(second[name], last[name]), name
    for name in ("7.weight", "9.bias"):
        assert not torch.equal(third[name], last[name]), name
