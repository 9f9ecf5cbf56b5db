"""Labelled images on disk: a folder with images.npy and labels.npy, which memory-map, and their checksums."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digits import checksums
from digits.errors import InputError
from digits.interface import SIZE

DIGITS = tuple(range(10))

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


@dataclass(frozen=True)
class LabelledImages:
    """Images (n, 28, 28) uint8, ink bright on dark, and their labels (n,) uint8.

    Raises:
        InputError: other shapes, dtypes or labels, or different numbers of images and labels.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        expected = (len(self.labels), SIZE, SIZE)
        if self.images.shape != expected or self.labels.ndim != 1:
            raise InputError(
                f"expected images {expected} for labels {self.labels.shape}, found images {self.images.shape}."
            )
        if self.images.dtype != np.uint8 or self.labels.dtype != np.uint8:
            raise InputError(f"expected uint8, found images {self.images.dtype}, labels {self.labels.dtype}.")
        if len(self.labels) and self.labels.max() > DIGITS[-1]:
            raise InputError(f"expected labels 0 to {DIGITS[-1]}, found {self.labels.max()}.")

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "LabelledImages":
        """Return the first `count` of them."""
        return LabelledImages(self.images[:count], self.labels[:count])

    def at(self, rows: np.ndarray) -> "LabelledImages":
        """Return those at `rows`, in that order."""
        return LabelledImages(self.images[rows], self.labels[rows])

    def mean_and_std(self) -> tuple[float, float]:
        """Return mean and standard deviation of all pixels, scaled to [0, 1]."""
        intensity = np.bincount(self.images.ravel(), minlength=256) / self.images.size
        values = np.arange(256) / 255
        mean = float(intensity @ values)
        return mean, float(np.sqrt(intensity @ (values - mean) ** 2))

    def scaled(self) -> np.ndarray:
        """Return the images as inputs of a model: (n, 1, 28, 28) float32 in [0, 1]."""
        return np.divide(self.images[:, None], 255, dtype=np.float32)

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
    """Write `images`, (n, 28, 28) uint8, and their checksum into `folder`."""
    _save(folder, {FILES[0]: images})


def load_unlabelled(folder: Path) -> np.ndarray:
    """Return the images in `folder`, (n, 28, 28) uint8, memory-mapped.

    Raises:
        InputError: a missing or damaged file.
    """
    return _load(folder, FILES[:1])[0]


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
