"""Stage `download`: fetch the dataset's files into data/raw, each verified by its SHA-256.

The environment variable MNIST_MIRROR (an HTTPS or file:// address, or a folder) is tried before the dataset's own
mirrors. It is not a DVC parameter because the checksums determine the content.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.download")

import os
from pathlib import Path

from pipeline import params
from pipeline.datasets import fetch, idx, records

RAW = Path("data/raw")


def main() -> None:
    """Fetch the dataset that params.yaml names."""
    name = params.load().dataset
    record = records.get(name)
    if record.bundled:
        RAW.mkdir(parents=True, exist_ok=True)
        for role, array in record.bundled().items():
            idx.write(RAW / record.files[role].name, array)
            fetch.verify(RAW, record.files[role])
    else:
        fetch.fetch(name, record, RAW, os.environ.get("MNIST_MIRROR"))
    print(f"{record.title}: {len(record.files)} files verified in {RAW}")
