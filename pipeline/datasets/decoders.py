"""Decode the published files of datasets. Each function takes the folder of the files and the split, "train" or "test",
and returns images (n, height, width) uint8, bright on dark, and labels (n,) uint8 from 0, in the order of the files.
"""

import zipfile
from pathlib import Path

import numpy as np

from pipeline.datasets import idx
from pipeline.datasets.arrays import FILES, on_disk

EMNIST_ARCHIVE = "gzip.zip"  # all sets of EMNIST
USPS_SIDE = 16  # pixels


def mnist(folder: Path, split: str, suffix: str = ".gz") -> tuple[np.ndarray, np.ndarray]:
    """Decode two IDX files of the names that MNIST, Fashion-MNIST and KMNIST have in common."""
    name = {"train": "train", "test": "t10k"}[split]
    return (
        idx.read(folder / f"{name}-images-idx3-ubyte{suffix}"),
        idx.read(folder / f"{name}-labels-idx1-ubyte{suffix}"),
    )


def qmnist(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Decode MNIST's training files, and QMNIST's test files, whose labels are rows of eight integers: the digit, and
    seven more that say who wrote it and where it is in NIST's database.
    """
    if split == "train":
        return mnist(folder, split)
    labels = idx.read(folder / "qmnist-test-labels-idx2-int.gz")
    return idx.read(folder / "qmnist-test-images-idx3-ubyte.gz"), labels[:, 0].astype(np.uint8)


def emnist(folder: Path, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Decode the set `name` of EMNIST, such as "balanced", from `gzip.zip`. Images are stored transposed, and labels
    of the set "letters" begin at 1.
    """
    with zipfile.ZipFile(folder / EMNIST_ARCHIVE) as archive:
        members = [f"gzip/emnist-{name}-{split}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        images, labels = (idx.decode(archive.read(member), member) for member in members)
    return np.ascontiguousarray(images.transpose(0, 2, 1)), labels - 1 if name == "letters" else labels


def usps(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Decode `usps.bz2` or `usps.t.bz2` of LIBSVM: lines of "label index:value ...", with labels from 1 to 10 and
    values from -1 (paper) to 1 (ink).
    """
    from sklearn.datasets import load_svmlight_file  # takes a second; MNIST does not need it

    path = folder / {"train": "usps.bz2", "test": "usps.t.bz2"}[split]
    values, labels = load_svmlight_file(str(path), n_features=USPS_SIDE**2, dtype=np.float64)
    return grey(values.toarray()).reshape(-1, USPS_SIDE, USPS_SIDE), (labels - 1).astype(np.uint8)


def grey(values: np.ndarray) -> np.ndarray:
    """Return `values` from -1 to 1 as uint8 from 0 to 255."""
    return ((values + 1) * 127.5).round().astype(np.uint8)


def own_images(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the arrays that `pipeline.datasets.folder` made of a folder of images, memory-mapped. Images in colour are
    (n, height, width, 3), and labels of more than 256 classes are uint16.
    """
    images, labels = (np.load(folder / split / name, mmap_mode="r") for name in FILES)
    return on_disk(images), labels


def sklearn_digits() -> dict[str, np.ndarray]:
    """Return scikit-learn's digits by split and kind, such as "train_images"; the last fifth is the test split."""
    from sklearn.datasets import load_digits  # takes a second; MNIST does not need it

    digits = load_digits()
    images, labels = (digits.images * 255 / 16).round().astype(np.uint8), digits.target.astype(np.uint8)
    return {
        "train_images": images[:1437],
        "train_labels": labels[:1437],
        "test_images": images[1437:],
        "test_labels": labels[1437:],
    }
