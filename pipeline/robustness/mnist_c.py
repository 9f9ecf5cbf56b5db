"""The published files of MNIST-C: 15 corruptions of MNIST's 10,000 test images, made by their authors.

Source: Mu and Gilmer, MNIST-C: A Robustness Benchmark for Computer Vision (2019), https://zenodo.org/record/3239543.
mnist_c.zip (247 MB) has a folder per corruption with the files {train,test}_{images,labels}.npy, images (n, 28, 28, 1)
uint8. Nothing here downloads it: a user who has it names the archive, or the folder that it was unpacked to.
"""

import io
import zipfile
from pathlib import Path

import numpy as np

from digits import checksums
from digits.errors import InputError
from digits.interface import SIZE
from pipeline.datasets.arrays import LabelledImages
from pipeline.robustness.corruptions import CORRUPTIONS, MNIST_C

NAMES = tuple(corruption.name for corruption in CORRUPTIONS.values() if corruption.origin == MNIST_C)
FOLDER = "mnist_c"  # in the archive
# Of mnist_c.zip, as TensorFlow Datasets lists it (url_checksums/mnist_corrupted.txt). No list has those of the files.
SHA256 = "af9ee8c6a815870c7fdde5af84c7bf8db0bcfa1f41056db83871037fba70e493"
ADVICE = (
    "Download mnist_c.zip from https://zenodo.org/record/3239543 and let MNIST_C name it, or the folder that you "
    "unpack it to."
)

Root = Path | zipfile.Path


def open_files(path: Path) -> tuple[Root, str | None]:
    """Return the folder, on disk or in the archive `path`, that has a folder per corruption; and the archive's verified
    SHA-256, None for files that were unpacked.

    Raises:
        InputError: no such folder or archive, or an archive with another checksum.
    """
    root: Root = path
    verified = None
    if path.is_file():
        checksums.verify(path, SHA256, ADVICE)
        root, verified = zipfile.Path(path), SHA256
    root = root / FOLDER if (root / FOLDER).is_dir() else root
    if not (root / NAMES[0]).is_dir():
        raise InputError(f"{path}: expected a folder per corruption ({NAMES[0]} and others), found none. {ADVICE}")
    return root, verified


def load(root: Root, name: str, labels: np.ndarray) -> LabelledImages:
    """Return the test images of the corruption `name`, as published.

    Args:
        root: from `open_files`.
        labels: (n,) of MNIST's test images, in the published order.

    Raises:
        InputError: a missing or damaged file, or other shapes, dtypes or labels.
    """
    images, found = _array(root / name / "test_images.npy"), _array(root / name / "test_labels.npy")
    place = root / name
    shape = (len(labels), SIZE, SIZE, 1)
    if images.shape != shape or images.dtype != np.uint8:
        raise InputError(f"{place}: expected images {shape} uint8, found {images.shape} {images.dtype}. {ADVICE}")
    if found.shape != labels.shape or not np.issubdtype(found.dtype, np.integer):
        raise InputError(
            f"{place}: expected labels {labels.shape} of an integer type, found {found.shape} {found.dtype}. {ADVICE}"
        )
    if different := int((found != labels).sum()):
        raise InputError(
            f"{place}: expected the labels of MNIST's test images in their order, found {different} others. {ADVICE}"
        )
    return LabelledImages(images[..., 0], np.array(labels))


def _array(file: Root) -> np.ndarray:
    """Return the array in `file`; pickled objects are refused."""
    try:
        return np.asarray(np.load(io.BytesIO(file.read_bytes()), allow_pickle=False))
    except (FileNotFoundError, KeyError):
        raise InputError(f"{file}: expected a file, found none. {ADVICE}") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{file}: expected an array of numbers, found a damaged file ({error}). {ADVICE}") from None
