"""Fitting a model to some of the images: what cross-validation and the search for label errors share."""

from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import StratifiedKFold, train_test_split

from digits.errors import InputError
from pipeline.classifiers import ModelConfig
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.training import FittedModel, stroke_digits, temporary_context
from pipeline.training.augmentation import augment_dataset


def folds(images: LabelledImages, count: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield `count` times (training rows, held-out rows), stratified by class; each row is held out once.

    Raises:
        InputError: a class has fewer images than there are folds.
    """
    if (rarest := np.bincount(images.labels).min()) < count:
        raise InputError(
            f"expected at least {count} images of every class for {count} folds, found {rarest}. Add images, use fewer "
            "folds, or more cross_validation.images, in params.yaml."
        )
    yield from StratifiedKFold(count, shuffle=True, random_state=seed).split(images.labels, images.labels)


def fit(config: ModelConfig, images: LabelledImages, classes: int, seed: int, threads: int) -> FittedModel:
    """Fit the model `config` to `images` as the stage `train` would. The caller seeds the global generators.

    A twelfth of the images serves as the validation set, for early stopping and calibration.
    """
    held_out = max(len(images) // 12, classes)
    rows = train_test_split(np.arange(len(images)), test_size=held_out, stratify=images.labels, random_state=seed)
    train, validation = (images.at(part) for part in rows)
    mean, std = train.mean_and_std()
    if config.training_set == "augmented":
        train = arrays.collected(*augment_dataset(train, config.policy, seed, config.copies))
    train = stroke_digits.add(train, config.policy.stroke_digits, seed)
    with temporary_context(
        name=config.name,
        train=train,
        validation=validation,
        classes=classes,
        mean=mean,
        std=std,
        augmentation=config.batch_augmentation,
        seed=seed,
        threads=threads,
    ) as context:
        return config.in_one_process().fit(context)
