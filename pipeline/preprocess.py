"""Stage `preprocess`: decode the raw files, split them into train, validation and test, and write arrays of 28x28
pixels to data/prepared.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.preprocess")

from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from digits import measurements
from digits.errors import InputError
from digits.interface import SIZE
from pipeline import json_file, params
from pipeline.datasets import arrays, fetch, idx, records
from pipeline.datasets.arrays import LabelledImages
from pipeline.datasets.resizing import resize

RAW = Path("data/raw")


def decode(record: records.Record, raw: Path) -> tuple[LabelledImages, LabelledImages]:
    """Return the published training and test images of `record` from its files in `raw`, verified and resized.

    Raises:
        InputError: a file is missing, damaged, or not what the record says.
    """
    found = {}
    for role, file in record.files.items():
        fetch.verify(raw, file)
        count = record.train if role.startswith("train") else record.test
        found[role] = idx.read(raw / file.name, (count, *record.shape) if role.endswith("images") else (count,))
    return (
        LabelledImages(like_mnist(found["train_images"]), found["train_labels"]),
        LabelledImages(like_mnist(found["test_images"]), found["test_labels"]),
    )


def like_mnist(images: np.ndarray) -> np.ndarray:
    """Return uint8 `images` (n, height, width) as (n, 28, 28); images of another size are resized, centred and scaled,
    so that models are trained on what they will see.
    """
    if images.shape[1:] == (SIZE, SIZE):
        return images
    from pipeline.robustness.canonicalize import centre_and_scale  # imports torch, which MNIST does not need

    return centre_and_scale(resize(images))


def split(images: LabelledImages, validation: int, seed: int) -> tuple[LabelledImages, LabelledImages]:
    """Return (train, validation), shuffled and stratified by digit.

    Raises:
        InputError: fewer than ten images would be in one of the two.
    """
    if not len(arrays.DIGITS) <= validation <= len(images) - len(arrays.DIGITS):
        raise InputError(
            f"params.yaml: split.validation: found {validation}. Allowed: {len(arrays.DIGITS)} to "
            f"{len(images) - len(arrays.DIGITS)}, since there are {len(images)} training images."
        )
    halves = train_test_split(np.arange(len(images)), test_size=validation, stratify=images.labels, random_state=seed)
    train, held_out = (images.at(rows) for rows in halves)
    return train, held_out


def describe(record: records.Record, splits: dict[str, LabelledImages]) -> dict[str, object]:
    """Return what models and reports need to know: origin, licence, checksums, images per digit; mean and std of the
    training pixels, and the tertiles of stroke width, slant and size of the training images.
    """
    mean, std = splits["train"].mean_and_std()
    return {
        "title": record.title,
        "origin": record.origin,
        "licence": record.licence,
        "files": {file.name: file.sha256 for file in record.files.values()},
        "images_per_digit": {name: np.bincount(part.labels, minlength=10).tolist() for name, part in splits.items()},
        "train_pixel_mean": mean,
        "train_pixel_std": std,
        "train_thirds": measurements.thirds(splits["train"].images),
    }


def main() -> None:
    """Decode, verify, split and describe the dataset that params.yaml names."""
    settings = params.load()
    record = records.get(settings.dataset)
    published, test = decode(record, RAW)
    train, validation = split(published, settings.split.validation, settings.seed)
    splits = {"train": train, "validation": validation, "test": test}
    for folder, part in zip((arrays.TRAIN, arrays.VALIDATION, arrays.TEST), splits.values(), strict=True):
        part.save(folder)
    json_file.write(arrays.METADATA, describe(record, splits))
    print(", ".join(f"{name}: {len(part):,} images" for name, part in splits.items()))
