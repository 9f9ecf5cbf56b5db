"""Stage `download`: fetch the dataset's files into data/raw, each verified by its checksum; or decode the images of
one's own folder, data/own, into arrays there.

The environment variable DATASET_MIRROR (an HTTPS or file:// address, or a folder) is tried before the dataset's own
mirrors; MNIST_MIRROR is its former name. It is not a DVC parameter because the checksums determine the content.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.download")

import os
from pathlib import Path

from pipeline import params
from pipeline.datasets import fetch, folder, idx, records
from pipeline.datasets.arrays import Shape

RAW = Path("data/raw")


def main() -> None:
    """Fetch the dataset that params.yaml names."""
    settings = params.load()
    name, record = settings.dataset, records.get(settings.dataset)
    if name == records.FOLDER:
        own = settings.folder
        shape = Shape(3 if own.color == "rgb" else 1, own.height, own.width)
        folder.read(folder.find(), RAW, shape)
        record = folder.describe(record, RAW, own.title, own.digits)
        print(f"{record.title} in {len(record.classes)} classes, decoded to {RAW}")
        return
    if record.bundled:
        RAW.mkdir(parents=True, exist_ok=True)
        for file, array in zip(record.files, record.bundled().values(), strict=True):
            idx.write(RAW / file.name, array)
            fetch.verify(RAW, file)
    else:
        fetch.fetch(name, record, RAW, os.environ.get("DATASET_MIRROR") or os.environ.get("MNIST_MIRROR"))
    print(f"{record.title}: {len(record.files)} files verified in {RAW}")
