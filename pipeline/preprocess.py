"""Stage `preprocess`: decode the raw files, split them into train, validation and test, and write arrays to
data/prepared, digits as 28x28 pixels.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.preprocess")

from pathlib import Path

import numpy as np

from digits import measurements
from pipeline import json_file, params
from pipeline.datasets import arrays, loading, names, sources
from pipeline.datasets.arrays import LabelledImages
from pipeline.datasets.records import Record

RAW = Path("data/raw")
FOLDERS = {"train": arrays.TRAIN, "validation": arrays.VALIDATION, "test": arrays.TEST}


def write_splits(record: Record, raw: Path, settings: params.Params) -> None:
    """Write train, validation and test images of `record`, from its files in `raw`, to data/prepared.

    Raises:
        InputError: wrong files, or too few images to divide.
    """
    for name, (images, rows) in loading.split(record, raw, settings).items():
        images.at(rows).save(FOLDERS[name])
        source = "test" if name == "test" and record.test else "train"
        if files := names.load(raw / source):
            names.save([files[row] for row in rows], FOLDERS[name])


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
        "warp": record.warp,
        "horizontal_flip": record.horizontal_flip,
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
    record = sources.known(settings, RAW)
    write_splits(record, RAW, settings)
    prepared = {name: arrays.load(path) for name, path in FOLDERS.items()}
    json_file.write(arrays.METADATA, describe(record, prepared))
    print(", ".join(f"{name}: {len(part):,} images" for name, part in prepared.items()))
