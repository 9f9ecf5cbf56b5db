"""Training and comparing models without DVC, in a notebook or a script, by the functions that the stages call.

    from pipeline import api

    data = api.load_dataset("digits")
    models = {name: api.fit(name, data) for name in ("logreg", "cnn_fast")}
    models["regularised"] = api.fit("logreg", data, C=0.01)
    api.evaluate(models["cnn_fast"], data.test)["accuracy"]
    api.compare(models, data.test)
    api.predict(models["cnn_fast"], data.test.images[:5])
    models["cnn_fast"].save("my_model.onnx")

Nothing here restricts the CPU's instructions, which must happen before NumPy is imported: `runtime.environment` returns
the variables to set before Python starts, if results shall have the same bits on other machines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from digits.errors import InputError
from pipeline import params, runtime, scoring
from pipeline.classifiers import model_config
from pipeline.datasets import arrays, folder, loading
from pipeline.datasets.arrays import LabelledImages, Shape
from pipeline.onnx_graph.write import write_onnx
from pipeline.scoring import uncertainty
from pipeline.training import FittedModel, stroke_digits, temporary_context
from pipeline.training.augmentation import augment_dataset

PARAMS = Path(__file__).parents[1] / params.FILE


@dataclass(frozen=True)
class Dataset:
    """Images in three splits.

    Attributes:
        name, title: of the dataset.
        classes: names, in the order of the labels.
        about: `digits`, `warp` and `horizontal_flip`, see `pipeline.datasets.records.Record`.
        train, validation, test: images uint8 (n, height, width) or (n, height, width, 3), and labels (n,).
    """

    name: str
    title: str
    classes: tuple[str, ...]
    about: dict[str, Any]
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages

    @property
    def digits(self) -> bool:
        """Return whether these are handwritten digits."""
        return bool(self.about["digits"])

    @property
    def shape(self) -> Shape:
        """Return the size of an image."""
        return self.train.shape


@dataclass(frozen=True)
class Model:
    """A fitted model.

    Attributes:
        name: of the model in params.yaml.
        classes: names, in the order of the probabilities.
        hyperparameters: all of them.
        fitted: predicts and exports.
    """

    name: str
    classes: tuple[str, ...]
    hyperparameters: dict[str, Any]
    fitted: FittedModel

    def save(self, path: str | Path) -> Path:
        """Write the model as an ONNX file, from `images` (n, channels, height, width) float32 in [0, 1] to
        `probabilities`, and return its path.
        """
        write_onnx(Path(path), self.fitted.export())
        return Path(path)


def load_dataset(
    name: str, *, path: str | Path | None = None, seed: int | None = None, validation: float | None = None, **how: Any
) -> Dataset:
    """Return a dataset of `pipeline.datasets.records`.

    Published files are downloaded to the user's cache, once, and verified.

    Args:
        name: of the dataset; "folder" for your own images.
        path: The folder of your own images, see data/own/README.md.
        seed: of the splits; by default that of params.yaml.
        validation: The training images to set aside: a number, or a fraction; by default a tenth.
        how: of your own images: `title`, `height`, `width`, `color`, `test`, `digits`, `warp`,
            `horizontal_flip`, as in params.yaml.

    Raises:
        InputError: no such dataset, a failed download, or unreadable images.
    """
    settings = params.load(PARAMS)
    changes = {
        "dataset": name,
        "seed": settings.seed if seed is None else seed,
        "split": {"validation": 0.1 if validation is None else validation},
        "folder": settings.folder.model_dump() | how,
    }
    settings = params.check(params.Params, settings.model_dump() | changes, "load_dataset")
    record, splits = loading.load(settings, folder.OWN if path is None else Path(path))
    about = {key: getattr(record, key) for key in ("digits", "warp", "horizontal_flip")}
    return Dataset(name, record.title, record.classes, about, **splits)


def fit(name: str, data: Dataset, *, seed: int | None = None, **hyperparameters: Any) -> Model:
    """Fit the model `name` of params.yaml to the training images of `data`, as the stage `train` does.

    Args:
        name: under `models` or `presets`.
        data: its validation images serve for early stopping and calibration.
        seed: of every random number; by default that of params.yaml.
        hyperparameters: values that replace those of params.yaml.

    Raises:
        InputError: no such model or hyperparameter, or a value that does not fit.
    """
    settings = params.load(PARAMS)
    models = settings.presets | settings.models
    settings = settings.model_copy(update={"models": models | {name: models.get(name, {}) | hyperparameters}})
    config = model_config(name, settings).for_dataset(data.about)
    seed = settings.seed if seed is None else seed
    mean, std = data.train.mean_and_std()
    runtime.seed(seed)
    train = data.train
    if config.training_set == "augmented":
        train = arrays.collected(*augment_dataset(train, config.policy, seed, config.copies))
    with temporary_context(
        name=name,
        train=stroke_digits.add(train, config.policy.stroke_digits, seed),
        validation=data.validation,
        classes=len(data.classes),
        mean=mean,
        std=std,
        augmentation=config.batch_augmentation,
        seed=seed,
        threads=settings.runtime.threads,
    ) as context:
        return Model(name, data.classes, config.hyperparameters, config.fit(context))


def predict_proba(model: Model, images: np.ndarray) -> np.ndarray:
    """Return the probability of each class, (n, classes), for uint8 `images` in the form of the training images."""
    return model.fitted.predict_proba(LabelledImages(images, np.zeros(len(images), np.uint8)))


def predict(model: Model, images: np.ndarray) -> list[str]:
    """Return the name of the most probable class for each of the uint8 `images`."""
    return [model.classes[number] for number in predict_proba(model, images).argmax(axis=1)]


def evaluate(model: Model, images: LabelledImages) -> dict[str, Any]:
    """Return the scores of `model` on labelled `images`, with `per_class` and `confusion`, see `pipeline.scoring`."""
    probabilities = model.fitted.predict_proba(images)
    predicted = probabilities.argmax(axis=1)
    return {
        **scoring.full(probabilities, images.labels),
        "per_class": scoring.per_class(predicted, images.labels, model.classes),
        "confusion": scoring.confusion(predicted, images.labels, len(model.classes)).tolist(),
    }


def compare(models: Mapping[str, Model], images: LabelledImages, *, winner: str | None = None) -> list[dict[str, Any]]:
    """Return a row per model, most accurate first: errors, accuracy with its 95% interval, log loss, and McNemar's
    exact test against the winner, with Holm's correction.

    Do not select a model by its scores on the test images: p-values are then too small.

    Args:
        winner: The name of the model that was selected on other images, whose row is then the first. By default the
            most accurate on these images.

    Raises:
        InputError: `winner` is none of the models.
    """
    if winner is not None and winner not in models:
        raise InputError(f"winner: found {winner!r}. Allowed: {', '.join(models)}.")
    probabilities = {name: model.fitted.predict_proba(images) for name, model in models.items()}
    correct = {name: found.argmax(axis=1) == images.labels for name, found in probabilities.items()}
    order = sorted(models, key=lambda name: (name != winner, -correct[name].sum()))
    tests = uncertainty.against_first([correct[name] for name in order])
    rows = []
    for name, test in zip(order, tests, strict=True):
        scores = scoring.full(probabilities[name], images.labels)
        columns = ("errors", "accuracy", "accuracy_low", "accuracy_high", "log_loss")
        rows.append({"model": name, **{column: scores[column] for column in columns}, **test})
    return rows
