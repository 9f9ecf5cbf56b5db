"""The files of a dataset: where they come from."""

import os
from pathlib import Path

from pipeline import params
from pipeline.datasets import fetch, folder, idx, records
from pipeline.datasets.arrays import Shape
from pipeline.datasets.records import Record

MIRRORS = ("DATASET_MIRROR", "MNIST_MIRROR")  # environment variables; the second is the former name


def obtain(settings: params.Params, raw: Path, own: Path = folder.OWN) -> Record:
    """Put the files of the dataset that `settings` name into `raw`, each verified, and return its record.

    Of the dataset `folder`, the images in `own` are written there as arrays. The environment variable DATASET_MIRROR is
    tried before the record's own mirrors.

    Raises:
        InputError: no such dataset, a failed download, or unreadable images.
    """
    record = records.get(settings.dataset)
    if settings.dataset == records.FOLDER:
        how = settings.folder
        folder.read(folder.find(own), raw, Shape(3 if how.color == "rgb" else 1, how.height, how.width))
        return known(settings, raw)
    if record.bundled:
        raw.mkdir(parents=True, exist_ok=True)
        for file, array in zip(record.files, record.bundled().values(), strict=True):
            idx.write(raw / file.name, array)
            fetch.verify(raw, file)
    else:
        mirror = next((os.environ[name] for name in MIRRORS if os.environ.get(name)), None)
        fetch.fetch(settings.dataset, record, raw, mirror)
    return record


def known(settings: params.Params, raw: Path) -> Record:
    """Return the record of the dataset that `settings` name; that of `folder` describes what is in `raw`."""
    record = records.get(settings.dataset)
    if settings.dataset == records.FOLDER:
        return folder.describe(record, raw, settings.folder)
    return record
