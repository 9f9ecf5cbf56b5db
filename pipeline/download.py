"""Stage `download`: bring the dataset's files to data/raw, each verified by its SHA-256.

The environment variable MNIST_MIRROR (HTTPS address, file:// address or folder) is tried before the dataset's own
mirrors. It is no DVC parameter: where the bytes come from does not change what they are.
"""

import os
from pathlib import Path

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
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
            fetch.verify(RAW / record.files[role].name, record.files[role])
    else:
        fetch.fetch(name, record, RAW, os.environ.get("MNIST_MIRROR"))
    print(f"{record.title}: {len(record.files)} files verified in {RAW}")


if __name__ == "__main__":
    runtime.run(main)
