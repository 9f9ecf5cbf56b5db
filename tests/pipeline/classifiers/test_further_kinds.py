"""Kinds that no model of the default pipeline has: gradient boosting, k-NN, ResNet and vision transformer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from digits.errors import InputError
from pipeline.classifiers import ModelConfig, gradient_boosting, knn, resnet, vit
from pipeline.datasets.arrays import LabelledImages, Shape
from pipeline.params import Augmentation, Params
from pipeline.training import TrainingContext
from pipeline.training.networks import Devices, _reinitialised

MNIST = Shape(1, 28, 28)
ONE_CPU = Devices(accelerator="cpu", devices=1, num_nodes=1, strategy="auto", precision="32-true", compile=False)
TRAINING = {
    "ensemble_size": 1,
    "tta": False,
    "refit": False,
    "epochs": 6,
    "patience": 6,
    "checkpoint": "last",
    "batch_size": 32,
    "lr": 0.005,
    "weight_decay": 0.01,
    "label_smoothing": 0.0,
    "hard_examples": 0.0,
    "trainer": ONE_CPU,
}
TREES = {
    "max_iter": 10,
    "learning_rate": 0.3,
    "max_leaf_nodes": 7,
    "min_samples_leaf": 2,
    "l2_regularization": 1.0,
    "max_features": 0.1,
}
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "gradient_boosting": {"features": "hog", "max_images": 1000, **TREES},
    "knn": {"features": "hog", "max_images": 1000, "components": 20, "n_neighbors": 6},
    "resnet": {"width": 8, "blocks": [1, 1, 1], "dropout": 0.1, **TRAINING},
    "vit": {"patch": 8, "depth": 2, "heads": 2, "head_width": 16, "dropout": 0.1, **TRAINING},
}


@pytest.mark.filterwarnings("ignore:The number of unique classes is greater than 50%")  # the learning curve's start
@pytest.mark.parametrize(("shape", "classes"), [(Shape(3, 40, 24), 3), (Shape(3, 64, 64), 47)])
@pytest.mark.parametrize("kind", HYPERPARAMETERS)
def test_onnx_runtime_gives_the_same_probabilities(
    settings: Params, fit_few, infer, kind: str, shape: Shape, classes: int
) -> None:
    no_change: Augmentation = settings.augmentation["none"]
    config = ModelConfig(kind, kind, "prepared", "none", no_change, 1, dict(HYPERPARAMETERS[kind]))
    fitted, images = fit_few(config, shape, classes)
    expected, found = fitted.predict_proba(images), infer(fitted.export(), images)
    assert found.shape == (len(images), classes)
    assert np.abs(found - expected).max() < 2e-6
    assert (found.argmax(axis=1) == images.labels).mean() > 0.8


def test_resnet_has_the_parameters_of_resnet_18() -> None:
    found = resnet.build(Shape(3, 32, 32), 1000, width=64, blocks=[2, 2, 2, 2], dropout=0.0)
    shapes = [sorted(tuple(p.shape) for p in list(network.parameters())[1:]) for network in (found, resnet18())]
    assert shapes[0] == shapes[1]  # but for the first convolution
    assert found[:-4](torch.zeros(1, 3, 32, 32)).shape == (1, 512, 4, 4)


@pytest.mark.parametrize("size", [(28, 28), (29, 31), (5, 40)])
def test_patches_of_a_vision_transformer_cover_images_of_any_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = vit.build(Shape(1, *size), 10, patch=4, depth=1, heads=2, head_width=8, dropout=0.0).eval()
    images = torch.zeros(1, 1, *size, requires_grad=True)
    network(images)[0, 0].backward()
    assert images.grad is not None
    assert (images.grad != 0).all()


def test_vision_transformers_of_an_ensemble_have_initial_weights_of_their_own() -> None:
    first = vit.build(MNIST, 10, patch=7, depth=2, heads=2, head_width=8, dropout=0.0)
    second = dict(_reinitialised(first, 1).named_parameters())
    equal = [name for name, values in first.named_parameters() if torch.equal(values, second[name])]
    zeros = [f"layers.{layer}.self_attn.in_proj_bias" for layer in range(2)]
    assert [name for name in equal if "norm" not in name] == zeros


def test_the_training_of_a_vision_transformer_is_deterministic(settings: Params, fit_few) -> None:
    probabilities = []
    for _ in range(2):
        hyperparameters = HYPERPARAMETERS["vit"] | {"patch": 14}
        config = ModelConfig("vit", "vit", "prepared", "none", settings.augmentation["none"], 1, hyperparameters)
        fitted, images = fit_few(config, MNIST, 10)
        probabilities.append(fitted.predict_proba(images))
    assert np.array_equal(*probabilities)


def test_votes_of_neighbours() -> None:
    """Squared distances 0, 1, 4 and 9 to the four nearest: votes 9, 8, 5 and none, for classes 0, 1, 1 and 2."""
    rows, labels = np.array([[0], [1], [-2], [3], [50]], np.float32), np.array([0, 1, 1, 2, 2])
    model = knn.NearestNeighbours(4).fit(rows, labels)
    assert model.predict_proba(np.zeros((1, 1), np.float32))[0] == pytest.approx([9 / 22, 13 / 22, 0], abs=1e-6)


def test_equally_far_neighbours_have_equal_votes() -> None:
    model = knn.NearestNeighbours(4).fit(np.array([[1], [1], [1], [-1]], np.float32), np.array([0, 1, 1, 1]))
    assert model.predict_proba(np.zeros((1, 1), np.float32))[0] == pytest.approx([0.25, 0.75])


def test_fewer_images_than_neighbours_is_an_error(context_of: Callable[..., TrainingContext], digits) -> None:
    model = knn.build(MNIST, 10, components=5, n_neighbors=50)
    with pytest.raises(InputError, match="cannot fit it to 40 images: n_neighbors=50 must be at most the number of"):
        knn.fit(model, context_of(train=digits.first(40)), features="pixels", max_images=1000)


@pytest.mark.parametrize("classes", [2, 10])
def test_thresholds_of_boosted_trees_are_not_rounded_up_to_float32(
    context_of: Callable[..., TrainingContext], infer, classes: int
) -> None:
    """Halfway between 3/255 and 5/255 is 4/255; float32 decides on which side of it a pixel of 4/255 is."""
    labels = (np.arange(400) % classes).astype(np.uint8)
    images = np.zeros((400, 8, 8), np.uint8)
    images[:, 5, 5] = 1 + 2 * labels
    data = LabelledImages(images, labels)
    model = gradient_boosting.build(data.shape, classes, **TREES | {"max_features": 1.0})
    fitted = gradient_boosting.fit(
        model, context_of(train=data, validation=data, classes=classes), features="pixels", max_images=1000
    )
    all_values = np.zeros((256, 8, 8), np.uint8)
    all_values[:, 5, 5] = np.arange(256)
    asked = LabelledImages(all_values, np.zeros(256, np.uint8))
    expected, found = fitted.predict_proba(asked), infer(fitted.export(), asked)
    assert len(np.unique(expected.round(6), axis=0)) > 1
    assert np.abs(found - expected).max() < 2e-6
