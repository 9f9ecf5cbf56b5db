"""Stage `preprocess`: raw files to arrays of 28x28 pixels in data/prepared: train, validation, test, and facts.json."""

import json
from pathlib import Path

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import numpy as np
from sklearn.model_selection import train_test_split

from pipeline import params
from pipeline.datasets import arrays, fetch, idx, records
from pipeline.datasets.arrays import LabelledImages
from pipeline.errors import InputError
from pipeline.imaging import measurements
from pipeline.imaging.resizing import resize

RAW = Path("data/raw")


def read(record: records.Record, raw: Path) -> tuple[LabelledImages, LabelledImages]:
    """Return the published training and test images of `record` from its files in `raw`, verified and resized.

    Raises:
        InputError: a file that is missing, damaged or not what the record says.
    """
    found = {}
    for role, file in record.files.items():
        fetch.verify(raw / file.name, file)
        count = record.train if role.startswith("train") else record.test
        found[role] = idx.read(raw / file.name, (count, *record.shape) if role.endswith("images") else (count,))
    return (
        LabelledImages(like_mnist(found["train_images"]), found["train_labels"]),
        LabelledImages(like_mnist(found["test_images"]), found["test_labels"]),
    )


def like_mnist(images: np.ndarray) -> np.ndarray:
    """Return uint8 `images` (n, height, width) as (n, 28, 28); those of another size as models will see them."""
    if images.shape[1:] == (arrays.SIZE, arrays.SIZE):
        return images
    from pipeline.imaging.tidy import tidied  # loads torch, which MNIST does not need

    return tidied(resize(images))


def split(images: LabelledImages, validation: int, seed: int) -> tuple[LabelledImages, LabelledImages]:
    """Return (train, validation), shuffled, every digit in proportion.

    Raises:
        InputError: too few images for that.
    """
    if not len(arrays.DIGITS) <= validation <= len(images) - len(arrays.DIGITS):
        raise InputError(
            f"params.yaml: split.validation: found {validation}. Allowed: {len(arrays.DIGITS)} to "
            f"{len(images) - len(arrays.DIGITS)}, since there are {len(images)} training images."
        )
    halves = train_test_split(np.arange(len(images)), test_size=validation, stratify=images.labels, random_state=seed)
    train, held_out = (images.at(rows) for rows in halves)
    return train, held_out


def facts(record: records.Record, splits: dict[str, LabelledImages]) -> dict[str, object]:
    """Return what reports and models need to know: origin, licence, checksums, images per digit; of the train images,
    mean and spread of the pixels, and what divides them into thirds by stroke width, slant and size.
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
    published, test = read(record, RAW)
    train, validation = split(published, settings.split.validation, settings.seed)
    splits = {"train": train, "validation": validation, "test": test}
    for folder, part in zip((arrays.TRAIN, arrays.VALIDATION, arrays.TEST), splits.values(), strict=True):
        part.save(folder)
    arrays.FACTS.write_text(json.dumps(facts(record, splits), indent=2) + "\n")
    print(", ".join(f"{name}: {len(part):,} images" for name, part in splits.items()))


if __name__ == "__main__":
    runtime.run(main)
