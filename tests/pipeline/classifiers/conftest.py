"""Fitting any kind of model to a few made images, and running the ONNX file that it becomes."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import onnxruntime
import pytest

from digits.interface import INPUT, PROBABILITIES
from pipeline import runtime
from pipeline.classifiers import ModelConfig
from pipeline.datasets.arrays import LabelledImages, Shape
from pipeline.training import FittedModel, estimators, temporary_context

TRAIN, VALIDATION = 480, 96  # images, of all classes together
QUICK = {"epochs": 6, "patience": 6, "batch_size": 32, "ensemble_size": 1}  # replaced in a config
NOISE = 40  # std, in grey values


@pytest.fixture(autouse=True, scope="module")
def _features_exported_once() -> Iterator[None]:
    """Export the extractor of each kind of features once per shape: it takes seconds."""
    with mock.patch.object(estimators, "to_onnx", cache(estimators.to_onnx)):
        yield


@pytest.fixture
def fit_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[FittedModel, LabelledImages]]:
    """Return a function that fits a model to a few images of any shape and number of classes, in seconds; it returns
    the fitted model and the validation images.
    """
    monkeypatch.chdir(tmp_path)  # DVCLive would open this project's git repository

    def fit(config: ModelConfig, shape: Shape, classes: int) -> tuple[FittedModel, LabelledImages]:
        config.hyperparameters.update({key: QUICK[key] for key in QUICK.keys() & config.hyperparameters.keys()})
        train, validation = (made_images(shape, classes, count) for count in (TRAIN, VALIDATION))
        mean, std = train.mean_and_std()
        runtime.seed(0)
        with temporary_context(
            name=config.name,
            train=train,
            validation=validation,
            classes=classes,
            mean=mean,
            std=std,
            augmentation=None,
            seed=0,
            threads=1,
        ) as context:
            return config.fit(context), validation

    return fit


def made_images(shape: Shape, classes: int, count: int) -> LabelledImages:
    """Return images of random 4x4 patterns, one per class, with noise."""
    cells = np.random.default_rng(0).integers(0, 256, (classes, 4, 4, shape.channels))
    rows, columns = np.arange(shape.height) * 4 // shape.height, np.arange(shape.width) * 4 // shape.width
    random = np.random.default_rng(count)
    labels = random.permutation(np.arange(count, dtype=np.uint8) % classes)
    images = cells[:, rows][:, :, columns][labels]
    images = (images + random.normal(0, NOISE, images.shape)).clip(0, 255).astype(np.uint8)
    return LabelledImages(images[..., 0] if shape.channels == 1 else images, labels)


@pytest.fixture
def infer() -> Callable[[onnx.ModelProto, LabelledImages], np.ndarray]:
    """Return a function that computes the probabilities of an ONNX model for images, in ONNX Runtime."""

    def run(model: onnx.ModelProto, images: LabelledImages) -> np.ndarray:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return np.asarray(session.run([PROBABILITIES], {INPUT: images.scaled()})[0])

    return run
