"""Stage `preprocess`: decode the raw files, split them into train, validation and test, and write arrays to
data/prepared, digits as 28x28 pixels.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.preprocess")

import zipfile
import zlib
from pathlib import Path

import numpy as np

from digits import measurements
from digits.errors import InputError
from digits.interface import SIZE
from pipeline import json_file, params
from pipeline.datasets import arrays, fetch, folder, records, splits
from pipeline.datasets.arrays import LabelledImages
from pipeline.datasets.records import Record
from pipeline.datasets.resizing import resize

RAW = Path("data/raw")
FOLDERS = {"train": arrays.TRAIN, "validation": arrays.VALIDATION, "test": arrays.TEST}
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


def write_splits(record: Record, raw: Path, settings: params.Params) -> None:
    """Decode and verify the files of `record` in `raw`, and write train, validation and test images to data/prepared.

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
    train_rows, validation_rows = splits.split(
        labels, rows, settings.split.validation, seed, "split.validation", classes
    )
    splits.save(published, train_rows, arrays.TRAIN)
    splits.save(published, validation_rows, arrays.VALIDATION)
    splits.save(test, test_rows, arrays.TEST)


def describe(record: Record, prepared: dict[str, LabelledImages]) -> dict[str, object]:
    """Return what models and reports need to know: origin, licence, checksums, classes, size, images per class; mean
    and std of the training pixels; of digits, the tertiles of stroke width, slant and size of the training images.
    """
    mean, std = prepared["train"].mean_and_std()
    about: dict[str, object] = {
        "title": record.title,
        "origin": record.origin,
        "licence": record.licence,
        "citation": record.citation,
        "files": {file.name: str(file) for file in record.files},
        "classes": list(record.classes),
        "shape": list(record.shape),
        "digits": record.digits,
        "images_per_class": {
            name: np.bincount(part.labels, minlength=len(record.classes)).tolist() for name, part in prepared.items()
        },
        "train_pixel_mean": mean,
        "train_pixel_std": std,
    }
    return about | ({"train_thirds": measurements.thirds(prepared["train"].images)} if record.digits else {})


def main() -> None:
    """Decode, verify, split and describe the dataset that params.yaml names."""
    settings = params.load()
    record = records.get(settings.dataset)
    if settings.dataset == records.FOLDER:
        record = folder.describe(record, RAW, settings.folder.title, settings.folder.digits)
    write_splits(record, RAW, settings)
    prepared = {name: arrays.load(path) for name, path in FOLDERS.items()}
    json_file.write(arrays.METADATA, describe(record, prepared))
    print(", ".join(f"{name}: {len(part):,} images" for name, part in prepared.items()))
