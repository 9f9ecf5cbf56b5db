"""From the files of a dataset to images: decoding, checks and splits."""

import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from digits.errors import InputError
from digits.interface import SIZE
from pipeline import params
from pipeline.datasets import fetch, folder, sources, splits
from pipeline.datasets.arrays import LabelledImages
from pipeline.datasets.records import Record
from pipeline.datasets.resizing import resize

UNREADABLE = (ValueError, IndexError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


def decode(record: Record, raw: Path, split: str) -> LabelledImages:
    """Return the published images of `record` in `split`, "train" or "test", from its files in `raw`; digits as 28x28.

    Raises:
        InputError: the files have another form, or not the images and labels that the record says.
    """
    try:
        images, labels = record.decode(raw, split)
    except UNREADABLE as error:
        raise InputError(f"{raw}: expected {record.title} as published, found something else ({error}).") from None
    channels, height, width = record.published
    count = {"train": record.train, "test": record.test}[split]
    expected = (count, height, width) if channels == 1 else (count, height, width, channels)
    if images.shape != expected or labels.shape != expected[:1]:
        raise InputError(
            f"{raw}: expected {split} images {expected} and labels {expected[:1]} of {record.title}, found images "
            f"{images.shape} and labels {labels.shape}."
        )
    per_class = np.bincount(labels, minlength=len(record.classes))
    if len(per_class) > len(record.classes):
        raise InputError(
            f"{raw}: expected {split} labels 0 to {len(record.classes) - 1} of {record.title}, found {labels.max()}."
        )
    if not per_class.all():
        raise InputError(
            f"{raw}: expected {split} images of every class, found none of {record.classes[per_class.argmin()]!r}."
        )
    return LabelledImages(like_mnist(images) if record.digits else images, labels)


def like_mnist(images: np.ndarray) -> np.ndarray:
    """Return digits, uint8 (n, height, width), as (n, 28, 28); images of another size are resized, centred and scaled,
    so that models are trained on what they will see.
    """
    if images.shape[1:] == (SIZE, SIZE):
        return images
    from pipeline.robustness.canonicalize import centre_and_scale  # imports torch, which MNIST does not need

    return centre_and_scale(resize(images))


def split(record: Record, raw: Path, settings: params.Params) -> dict[str, tuple[LabelledImages, np.ndarray]]:
    """Return images and rows of train, validation and test, from the files of `record` in `raw`, which are verified.

    The validation images, and the test images of a dataset without published ones, are set aside from the training
    images, stratified by class.

    Raises:
        InputError: wrong files, or too few images to divide.
    """
    for file in record.files:
        fetch.verify(raw, file)
    published = decode(record, raw, "train")
    labels, rows, classes, seed = published.labels, np.arange(len(published)), record.classes, settings.seed
    if record.test:
        test = decode(record, raw, "test")
        test_rows = np.arange(len(test))
    else:
        test = published
        rows, test_rows = splits.split(labels, rows, settings.folder.test, seed, "folder.test", classes)
    train, validation = splits.split(labels, rows, settings.split.validation, seed, "split.validation", classes)
    return {"train": (published, train), "validation": (published, validation), "test": (test, test_rows)}


def load(settings: params.Params, own: Path = folder.OWN) -> tuple[Record, dict[str, LabelledImages]]:
    """Return the record of the dataset that `settings` name, and its images: train, validation and test.

    Raises:
        InputError: see `sources.obtain` and `split`.
    """
    with tempfile.TemporaryDirectory(prefix="dataset-") as scratch:
        record = sources.obtain(settings, Path(scratch), own)
        found = split(record, Path(scratch), settings)
        return record, {name: images.at(rows) for name, (images, rows) in found.items()}
