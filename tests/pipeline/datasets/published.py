"""Small files in the forms in which datasets are published."""

import bz2
import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]  # images and labels, by split


def arrays(classes: int, sides: tuple[int, int] = (28, 28), of_each: int = 4, binary: bool = False) -> Arrays:
    """Return images without any symmetry: in the training split `of_each` of each class, in the test split one."""
    rng = np.random.default_rng(classes)
    found = {}
    for split, count in (("train", of_each), ("test", 1)):
        images = rng.integers(0, 2 if binary else 256, (count * classes, *sides)) * (255 if binary else 1)
        found[split] = images.astype(np.uint8), np.tile(np.arange(classes, dtype=np.uint8), count)
    return found


def idx(array: np.ndarray) -> bytes:
    """Return the content of an IDX file: unsigned bytes, or big-endian 32-bit integers."""
    kind = 8 if array.dtype == np.uint8 else 12
    values = array if kind == 8 else array.astype(">i4")
    return bytes([0, 0, kind, array.ndim]) + np.array(array.shape, ">u4").tobytes() + values.tobytes()


def mnist(folder: Path, content: Arrays, splits: tuple[str, ...] = ("train", "test")) -> None:
    for split in splits:
        name = {"train": "train", "test": "t10k"}[split]
        for kind, array in zip(("images-idx3", "labels-idx1"), content[split], strict=True):
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))


def qmnist(folder: Path, content: Arrays) -> None:
    mnist(folder, content, ("train",))
    images, labels = content["test"]
    extended = np.random.default_rng(0).integers(0, 2**18, (len(labels), 8)).astype(np.int32)
    extended[:, 0] = labels
    (folder / "qmnist-test-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (folder / "qmnist-test-labels-idx2-int.gz").write_bytes(gzip.compress(idx(extended)))


def emnist(name: str) -> Callable[[Path, Arrays], None]:
    def write(folder: Path, content: Arrays) -> None:
        with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
            for split, (images, labels) in content.items():
                start = f"gzip/emnist-{name}-{split}"
                first = 1 if name == "letters" else 0
                archive.writestr(f"{start}-images-idx3-ubyte.gz", gzip.compress(idx(images.transpose(0, 2, 1))))
                archive.writestr(f"{start}-labels-idx1-ubyte.gz", gzip.compress(idx(labels + np.uint8(first))))

    return write


def usps(folder: Path, content: Arrays) -> None:
    for split, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        lines = [
            f"{label + 1} " + " ".join(f"{place}:{value:.6g}" for place, value in enumerate(row, 1))
            for row, label in zip(content[split][0].reshape(-1, 256) / 127.5 - 1, content[split][1], strict=True)
        ]
        (folder / name).write_bytes(bz2.compress("\n".join(lines).encode()))


# By dataset: what writes its files, the number of its classes, and the sides of its images.
FORMS: dict[str, tuple[Callable[[Path, Arrays], None], int, tuple[int, int]]] = {
    "mnist": (mnist, 10, (28, 28)),
    "fashion_mnist": (mnist, 10, (28, 28)),
    "kmnist": (mnist, 10, (28, 28)),
    "emnist_balanced": (emnist("balanced"), 47, (28, 28)),
    "emnist_letters": (emnist("letters"), 26, (28, 28)),
    "emnist_digits": (emnist("digits"), 10, (28, 28)),
    "qmnist": (qmnist, 10, (28, 28)),
    "usps": (usps, 10, (16, 16)),
}
