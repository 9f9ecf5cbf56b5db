"""Stage `download`: fetch the dataset's files into data/raw, each verified by its checksum; or decode the images of
one's own folder, data/own, into arrays there.

The environment variable DATASET_MIRROR (an HTTPS or file:// address, or a folder) is tried before the dataset's own
mirrors; MNIST_MIRROR is its former name. It is not a DVC parameter because the checksums determine the content.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.download")

from pathlib import Path

from pipeline import params
from pipeline.datasets import sources

RAW = Path("data/raw")


def main() -> None:
    """Fetch the dataset that params.yaml names."""
    record = sources.obtain(params.load(), RAW)
    print(f"{record.title}: {len(record.files)} files verified in {RAW}")
