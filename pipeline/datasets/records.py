"""The known datasets: origin, files, checksums, counts. A new dataset is one more entry in RECORDS."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from digits.errors import InputError


@dataclass(frozen=True)
class File:
    """One file as its publisher offers it."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """A dataset of digit images in four IDX files.

    Attributes:
        title, origin, licence: for reports.
        mirrors: HTTPS addresses of folders, tried in order.
        files: by role: train_images, train_labels, test_images, test_labels.
        train, test: number of images in each of the published splits.
        shape: (height, width) of a published image in pixels.
        bundled: returns the content of the files by role, for data that a Python package contains.
    """

    title: str
    origin: str
    licence: str
    mirrors: tuple[str, ...]
    files: dict[str, File]
    train: int
    test: int
    shape: tuple[int, int]
    bundled: Callable[[], dict[str, np.ndarray]] | None = None


def _sklearn_digits() -> dict[str, np.ndarray]:
    """Return scikit-learn's digits with ink from 0 to 255; the last fifth is the test split."""
    from sklearn.datasets import load_digits  # takes a second; MNIST does not need it

    digits = load_digits()
    images, labels = (digits.images * 255 / 16).round().astype(np.uint8), digits.target.astype(np.uint8)
    return {
        "train_images": images[:1437],
        "train_labels": labels[:1437],
        "test_images": images[1437:],
        "test_labels": labels[1437:],
    }


RECORDS = {
    # LeCun, Cortes, Burges: The MNIST database of handwritten digits (1998), http://yann.lecun.com/exdb/mnist/
    # Checksums of the four files as published since 1998.
    "mnist": Record(
        title="MNIST, 70,000 digits of 28x28 pixels",
        origin="Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits, 1998",
        licence="CC BY-SA 3.0, as the documentation of Keras has it",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://yann.lecun.com/exdb/mnist/",
        ),
        files={
            "train_images": File(
                "train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
            ),
            "train_labels": File(
                "train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
            ),
            "test_images": File(
                "t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
            ),
            "test_labels": File(
                "t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
            ),
        },
        train=60_000,
        test=10_000,
        shape=(28, 28),
    ),
    # Alpaydin, Kaynak: Optical Recognition of Handwritten Digits (UCI, 1998); its test file, which scikit-learn
    # contains: 1,797 digits by 13 writers. Quickstart and tests use it because it needs no network.
    "digits": Record(
        title="scikit-learn's digits, 1,797 digits of 8x8 pixels by 13 writers, resized to 28x28",
        origin="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI, 1998",
        licence="CC BY 4.0",
        mirrors=(),
        files={
            "train_images": File(
                "train-images-idx3-ubyte", "1192d80fb13b41bd405974e7276f8c82d0b32e4f26b229444c27b9e486971746"
            ),
            "train_labels": File(
                "train-labels-idx1-ubyte", "f8a600b73e2c056aa42316260206e6643bd33e96bd71cfb8e32b94f76fac4f93"
            ),
            "test_images": File(
                "t10k-images-idx3-ubyte", "80510fc9162448f4c8666335357ea127bd14ff20c9a09e20a09f3b8d96ef1ca3"
            ),
            "test_labels": File(
                "t10k-labels-idx1-ubyte", "cf2c8a23974df0c99eb3f36ff34c02acb9be1c84aca7280211ef04bea1135360"
            ),
        },
        train=1_437,
        test=360,
        shape=(8, 8),
        bundled=_sklearn_digits,
    ),
}


def get(name: str) -> Record:
    """Return the record called `name`.

    Raises:
        InputError: there is none.
    """
    if name not in RECORDS:
        raise InputError(f"params.yaml: dataset: found {name!r}. Allowed: {', '.join(RECORDS)}.")
    return RECORDS[name]
