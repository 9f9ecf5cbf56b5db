"""Labelled images on disk: a folder with images.npy and labels.npy, which memory-map, and their checksums."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from digits import checksums
from digits.errors import InputError

TRAIN = Path("data/prepared/train")
VALIDATION = Path("data/prepared/validation")
TEST = Path("data/prepared/test")
AUGMENTED = Path("data/augmented/train")
CORRUPTED = Path("data/corrupted")  # a folder per corruption, and CLEAN, the same images before corruption
CLEAN, EXTERNAL = CORRUPTED / "clean", CORRUPTED / "external"  # external: another dataset's digits, if there are any
OUTLIERS = Path("data/outliers")  # images that are not digits: folders drawn, modified and validation
METADATA = Path("data/prepared/metadata.json")

FILES = ("images.npy", "labels.npy")
SUMS = "SHA256SUMS"
ADVICE = "Delete it and run `dvc repro`; if it comes back, run `make doctor`."


class Shape(NamedTuple):
    """The size of one image as a model takes it.

    Attributes:
        channels: 1 for grey values, 3 for red, green and blue.
        height, width: in pixels.
    """

    channels: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Return the number of values of an image."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class LabelledImages:
    """Images and the numbers of their classes.

    Attributes:
        images: (n, height, width) or, in colour, (n, height, width, 3) uint8; digits are bright on dark.
        labels: (n,) uint8, or uint16 for more than 256 classes; the first class is 0.

    Raises:
        InputError: other shapes or dtypes, or different numbers of images and labels.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        grey = self.images.ndim == 3
        if not (grey or (self.images.ndim == 4 and self.images.shape[3] == 3)) or self.labels.ndim != 1:
            raise InputError(
                "expected images (n, height, width) or (n, height, width, 3) and labels (n,), found images "
                f"{self.images.shape} and labels {self.labels.shape}."
            )
        if len(self.images) != len(self.labels):
            raise InputError(f"expected as many images as labels, found {len(self.images)} and {len(self.labels)}.")
        if self.images.dtype != np.uint8 or self.labels.dtype not in (np.uint8, np.uint16):
            raise InputError(
                f"expected images uint8 and labels uint8 or uint16, found {self.images.dtype}, {self.labels.dtype}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> Shape:
        """Return the size of an image."""
        height, width, channels = (*self.images.shape[1:], 1)[:3]
        return Shape(channels, height, width)

    def first(self, count: int) -> "LabelledImages":
        """Return the first `count` of them."""
        return LabelledImages(self.images[:count], self.labels[:count])

    def at(self, rows: np.ndarray | slice) -> "LabelledImages":
        """Return those at `rows`, in that order."""
        return LabelledImages(self.images[rows], self.labels[rows])

    def mean_and_std(self) -> tuple[float, float]:
        """Return mean and standard deviation of all pixels and channels, scaled to [0, 1]."""
        counts = sum(np.bincount(batch.ravel(), minlength=256) for batch in np.array_split(self.images, 100))
        intensity = counts / self.images.size
        values = np.arange(256) / 255
        mean = float(intensity @ values)
        return mean, float(np.sqrt(intensity @ (values - mean) ** 2))

    def channels_first(self) -> np.ndarray:
        """Return the images as (n, channels, height, width) uint8, a view."""
        return self.images[:, None] if self.images.ndim == 3 else self.images.transpose(0, 3, 1, 2)

    def scaled(self) -> np.ndarray:
        """Return the images as inputs of a model: (n, channels, height, width) float32 in [0, 1]."""
        return np.divide(self.channels_first(), 255, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write images.npy, labels.npy and their checksums, which `sha256sum -c SHA256SUMS` reads, into `folder`."""
        _save(folder, dict(zip(FILES, (self.images, self.labels), strict=True)))


def joined(*parts: LabelledImages) -> LabelledImages:
    """Return the images of all `parts`, concatenated."""
    return LabelledImages(
        np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts])
    )


def load(folder: Path) -> LabelledImages:
    """Return the images in `folder`, memory-mapped.

    Raises:
        InputError: missing or damaged files, or images that do not match their labels.
    """
    return LabelledImages(*_load(folder, FILES))


def save_unlabelled(images: np.ndarray, folder: Path) -> None:
    """Write `images`, uint8, and their checksum into `folder`."""
    _save(folder, {FILES[0]: images})


def load_unlabelled(folder: Path) -> np.ndarray:
    """Return the images in `folder`, uint8, memory-mapped.

    Raises:
        InputError: a missing or damaged file.
    """
    return _load(folder, FILES[:1])[0]


def leave_out(what: str, *folders: Path) -> None:
    """Write into each of `folders` that there is nothing: of images that are not digits there is no `what`.

    Every stage runs for every dataset, and DVC expects all of its outputs to exist.
    """
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "NONE.txt").write_text(f"The dataset is not of handwritten digits, so there is no {what}.\n")
    print(f"the dataset is not of handwritten digits: no {what}")


def _save(folder: Path, contents: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in contents.items():
        np.save(folder / name, array)
    (folder / SUMS).write_text("".join(f"{checksums.sha256(folder / name)}  {name}\n" for name in contents))


def _load(folder: Path, names: Sequence[str]) -> list[np.ndarray]:
    try:
        lines = (folder / SUMS).read_text().splitlines()
        sums = {name: expected for expected, name in (line.split("  ") for line in lines)}
        for name in names:
            checksums.verify(folder / name, sums.get(name), ADVICE)
        return [np.load(folder / name, mmap_mode="r") for name in names]
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} not found. Run `dvc repro` to make it.") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{folder}: damaged array ({error}). {ADVICE}") from None
