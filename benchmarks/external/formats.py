"""Decode files of external datasets, in the formats in which they were published. Each function takes the path of one
file and returns its images in the order of the file, with labels.
"""

import csv
import re
import string
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from digits.images import decode
from digits.normalise import bounding_box
from pipeline.datasets import decoders, idx

PNG = b"\x89PNG"  # the first bytes of a PNG file
NUMBERS = re.compile(r"\d{4}_\w+/(\d)/[^/]+\.png$")  # person_country-decade-sex/digit/file
BITMAP = re.compile(r"((?:[01]{32}\s+){32})(\d)")  # 32 rows of 32 pixels, then the label
BITMAP_SIDE = 32  # pixels
KINDS = ("images", "labels")


@dataclass(frozen=True)
class LabelledPictures:
    """Images of any size and what they show.

    Attributes:
        labels: the digits or the letter in each image, or "" for anything else.
        images: each (height, width) uint8, or the content of an image file.
    """

    labels: list[str]
    images: np.ndarray | list[np.ndarray] | list[bytes]

    def __len__(self) -> int:
        return len(self.labels)

    def grey(self, row: int) -> np.ndarray:
        """Return image `row`, (height, width) float32 in [0, 1]."""
        image = self.images[row]
        if isinstance(image, bytes):
            return decode(image, f"image {row}").grey
        return np.divide(image, 255, dtype=np.float32)


def usps(path: Path) -> LabelledPictures:
    """Decode `usps.t.bz2` of LIBSVM, or `zip.test.gz` of the book The Elements of Statistical Learning.

    The book's lines are the digit and 256 values from -1 (paper) to 1 (ink).
    """
    if path.suffix == ".bz2":
        images, digits = decoders.usps(path.parent, "test")
    else:
        table = np.loadtxt(path, ndmin=2)
        digits, images = table[:, 0], decoders.grey(table[:, 1:]).reshape(-1, 16, 16)
    return LabelledPictures([str(int(digit)) for digit in digits], images)


def semeion(path: Path) -> LabelledPictures:
    """Decode `semeion.data`: lines of 256 pixels, 0 or 1 (ink), and the digit as ten numbers, one-hot."""
    table = np.loadtxt(path, ndmin=2)
    pixels, one_hot = table[:, :256], table[:, 256:]
    images = (255 * pixels).astype(np.uint8).reshape(-1, 16, 16)
    return LabelledPictures([str(digit) for digit in one_hot.reshape(-1, 10).argmax(axis=1)], images)


def optdigits(path: Path) -> LabelledPictures:
    """Decode `optdigits-orig.*`: a header, then for each digit 32 lines of 32 characters, 0 or 1 (ink), and the label.

    Raises:
        ValueError: the file has no such bitmap.
    """
    found = BITMAP.findall(path.read_text("ascii"))
    if not found:
        raise ValueError("no bitmaps of 32 lines of 32 characters 0 or 1")
    bits = np.frombuffer("".join("".join(rows.split()) for rows, _ in found).encode(), np.uint8) - ord("0")
    return LabelledPictures([label for _, label in found], 255 * bits.reshape(-1, BITMAP_SIDE, BITMAP_SIDE))


def emnist_digits(path: Path) -> LabelledPictures:
    """Decode the test set "digits" in EMNIST's `gzip.zip`."""
    images, labels = decoders.emnist(path.parent, "test", "digits")
    return LabelledPictures([str(label) for label in labels], images)


def emnist_letters(path: Path) -> LabelledPictures:
    """Decode the test set "letters" in EMNIST's `gzip.zip`: A to Z, upper and lower case in one class."""
    images, labels = decoders.emnist(path.parent, "test", "letters")
    return LabelledPictures([string.ascii_uppercase[label] for label in labels], images)


def fashion_mnist(path: Path) -> LabelledPictures:
    """Decode the gzipped IDX file of images `path`; the classes of Fashion-MNIST are not needed."""
    images = idx.read(path)
    return LabelledPictures([""] * len(images), images)


def notmnist(path: Path) -> LabelledPictures:
    """Decode `notMNIST_small.tar.gz`: PNG files in one folder per letter. Two of them are empty and left out."""
    with tarfile.open(path) as archive:
        files = sorted((file for file in archive if file.name.endswith(".png")), key=lambda file: file.name)
        read = [(PurePosixPath(file.name).parent.name, archive.extractfile(file)) for file in files]
        found = [(letter, stream.read()) for letter, stream in read if stream]
    return _joined((letter, content) for letter, content in found if content.startswith(PNG))


def omniglot(path: Path) -> LabelledPictures:
    """Decode `images_background.zip` or `images_evaluation.zip`: PNG files, dark on bright, by alphabet and character.

    Labels are "": characters of 50 alphabets, some of which look like digits.
    """
    with zipfile.ZipFile(path) as archive:
        return _joined(("", archive.read(name)) for name in sorted(archive.namelist()) if name.endswith(".png"))


def numbers(path: Path) -> LabelledPictures:
    """Decode a clone of the repository kensanata/numbers, or GitHub's ZIP file of it: PNG files, one folder per person
    and digit. The folder UNCATEGORIZED is left out: its README says that labels there may be wrong.
    """
    if path.is_dir():
        files = sorted(path.glob("[0-9][0-9][0-9][0-9]_*/[0-9]/*.png"))
        return _joined((file.parent.name, file.read_bytes()) for file in files)
    with zipfile.ZipFile(path) as archive:
        matches = [match for match in map(NUMBERS.search, sorted(archive.namelist())) if match]
        return _joined((match[1], archive.read(match.string)) for match in matches)


def ardis(path: Path) -> LabelledPictures:
    """Decode `ARDIS_test_2828.csv`, lines of 784 values from 0 to 255 (ink) separated by spaces, and beside it
    `ARDIS_test_labels.csv`, one-hot.
    """
    images = np.loadtxt(path, ndmin=2).astype(np.uint8).reshape(-1, 28, 28)
    one_hot = np.loadtxt(path.with_name(path.name.replace("2828", "labels")), ndmin=2)
    return LabelledPictures([str(digit) for digit in one_hot.argmax(axis=1)], images)


def labelled_files(path: Path) -> LabelledPictures:
    """Decode `labels.csv`: a header with `file` and `label`, then the image files, relative to the table, and the
    digits in each, in reading order; no label for a picture without digits.
    """
    with path.open(newline="", encoding="utf-8") as table:
        rows = [(row["file"], "".join(row["label"].split())) for row in csv.DictReader(table)]
    return _joined((label, (path.parent / name).read_bytes()) for name, label in rows)


def sklearn_digits(_: Path) -> LabelledPictures:
    """Return scikit-learn's 8x8 digits."""
    found = decoders.sklearn_digits()
    images, labels = (np.concatenate([found[f"{split}_{kind}"] for split in ("train", "test")]) for kind in KINDS)
    return LabelledPictures([str(digit) for digit in labels], images)


def sklearn_bitmaps(path: Path) -> LabelledPictures:
    """Return scikit-learn's digits enlarged to bitmaps of 32x32 pixels and cropped to the ink, which then touches all
    four edges.
    """
    small = sklearn_digits(path)
    side = (BITMAP_SIDE, BITMAP_SIDE)
    large = [cv2.resize(np.asarray(image), side, interpolation=cv2.INTER_LINEAR) > 127 for image in small.images]
    boxes = [bounding_box(mask) for mask in large]
    cropped = [
        255 * mask[np.ix_(rows, columns)].astype(np.uint8) for mask, (rows, columns) in zip(large, boxes, strict=True)
    ]
    return LabelledPictures(small.labels, cropped)


def _joined(labelled: Iterator[tuple[str, bytes]]) -> LabelledPictures:
    pairs = list(labelled)
    return LabelledPictures([label for label, _ in pairs], [content for _, content in pairs])
