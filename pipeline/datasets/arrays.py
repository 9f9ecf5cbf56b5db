"""Labelled images on disk: a folder with images.npy and labels.npy, which memory-map, and their checksums.

Images of more than IN_MEMORY bytes stay on disk: they are `Rows`, which read what is indexed and nothing else.
"""

import hashlib
import io
import mmap
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

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
SCRATCH = Path(".dvc/tmp")

IN_MEMORY = 2**28  # bytes, 256 MiB: five times MNIST
BATCH, CHUNK = 1_000, 2**23  # images that are read at a time, and bytes if they are large

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


class Rows:
    """Rows of arrays that are too large for memory, read when they are indexed. NumPy's functions take it for an array,
    and read it all.

    Args:
        parts: arrays (n, ...) of the same dtype and size of a row, which are concatenated.
        rows: (m,) integers, which rows of the concatenation; by default all.
    """

    def __init__(self, parts: Sequence[np.ndarray], rows: np.ndarray | None = None) -> None:
        self.parts, self.dtype = parts, parts[0].dtype
        self.ends = np.cumsum([len(part) for part in parts])
        self.rows = np.arange(self.ends[-1]) if rows is None else rows
        self.shape = (len(self.rows), *parts[0].shape[1:])
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape, dtype=np.int64))
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a copy of the rows at an integer, a slice or integers; of a tuple, its first item selects the rows."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        chosen = self.rows[first]
        rows = np.atleast_1d(chosen)
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        step = max(1, CHUNK * len(self) // max(1, self.nbytes))
        for start in range(0, len(rows), step):
            self._read(rows[start : start + step], found[start : start + step])
        return np.asarray(found[(slice(None), *rest)] if chosen.ndim else found[(0, *rest)])

    def _read(self, rows: np.ndarray, into: np.ndarray) -> None:
        part_of = np.searchsorted(self.ends, rows, side="right")
        for number, (part, end) in enumerate(zip(self.parts, self.ends, strict=True)):
            here = part_of == number
            into[here] = part[rows[here] - (end - len(part))]
            release(part)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def at(self, rows: np.ndarray | slice) -> "Rows":
        """Return those at `rows`, unread."""
        return Rows(self.parts, self.rows[rows])

    def as_array(self) -> np.ndarray:
        """Return itself; for type checkers an array."""
        return cast(np.ndarray, self)


@dataclass(frozen=True)
class LabelledImages:
    """Images and the numbers of their classes.

    Attributes:
        images: (n, height, width) or, in colour, (n, height, width, 3) uint8; digits are bright on dark. An array, a
            memory-mapped one, or `Rows` of some.
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
    def on_disk(self) -> bool:
        """Return whether the images are read from disk when they are indexed."""
        return _as_rows(self.images) is not None

    @property
    def shape(self) -> Shape:
        """Return the size of an image."""
        height, width, channels = (*self.images.shape[1:], 1)[:3]
        return Shape(channels, height, width)

    def first(self, count: int) -> "LabelledImages":
        """Return the first `count` of them."""
        return self.at(slice(count))

    def at(self, rows: np.ndarray | slice) -> "LabelledImages":
        """Return those at `rows`, in that order."""
        whole = _as_rows(self.images)
        if whole and len(self.labels[rows]) * self.shape.pixels > IN_MEMORY:
            return LabelledImages(whole.at(rows).as_array(), self.labels[rows])
        return LabelledImages(self.images[rows], self.labels[rows])

    def batches(self, size: int = BATCH) -> Iterator["LabelledImages"]:
        """Yield all of them, `size` at a time, fewer if the images are large."""
        size = min(size, max(1, CHUNK // self.shape.pixels))
        for start in range(0, len(self), size):
            batch = slice(start, start + size)
            yield LabelledImages(np.asarray(self.images[batch]), self.labels[batch])

    def mean_and_std(self) -> tuple[float, float]:
        """Return mean and standard deviation of all pixels and channels, scaled to [0, 1]."""
        counts = sum(np.bincount(batch.images.ravel(), minlength=256) for batch in self.batches())
        intensity = counts / self.images.size
        values = np.arange(256) / 255
        mean = float(intensity @ values)
        return mean, float(np.sqrt(intensity @ (values - mean) ** 2))

    def channels_first(self) -> np.ndarray:
        """Return the images as (n, channels, height, width) uint8, a view if they are in memory."""
        images = np.asarray(self.images)
        return images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)

    def scaled(self) -> np.ndarray:
        """Return the images as inputs of a model: (n, channels, height, width) float32 in [0, 1]."""
        return np.divide(self.channels_first(), 255, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write images.npy, labels.npy and their checksums, which `sha256sum -c SHA256SUMS` reads, into `folder`.

        Raises:
            InputError: the disk is too small.
        """
        save(folder, self.batches(), self.images.shape, self.labels.dtype)


def joined(*parts: LabelledImages) -> LabelledImages:
    """Return the images of all `parts`, concatenated."""
    labels = np.concatenate([part.labels for part in parts])
    if sum(part.images.nbytes for part in parts) > IN_MEMORY:
        whole = [_as_rows(part.images) or Rows([part.images]) for part in parts]
        starts = np.cumsum([0, *(rows.ends[-1] for rows in whole)])
        chosen = np.concatenate([rows.rows + start for rows, start in zip(whole, starts, strict=False)])
        return LabelledImages(Rows([array for rows in whole for array in rows.parts], chosen).as_array(), labels)
    return LabelledImages(np.concatenate([part.images for part in parts]), labels)


def empty(shape: tuple[int, ...]) -> np.ndarray:
    """Return a new uint8 array, in a temporary file if it is larger than IN_MEMORY."""
    if np.prod(shape, dtype=np.int64) <= IN_MEMORY:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile(dir=SCRATCH if SCRATCH.is_dir() else None) as file:  # /tmp may be in memory
        return np.memmap(file, np.uint8, "w+", shape=shape)


def on_disk(array: np.ndarray) -> np.ndarray:
    """Return a memory-mapped `array`, as `Rows` if it is larger than IN_MEMORY."""
    return array if array.nbytes <= IN_MEMORY else Rows([array]).as_array()


def collected(batches: Iterable[LabelledImages], shape: tuple[int, ...]) -> LabelledImages:
    """Return the images of all `batches`, on disk if they are large.

    Args:
        shape: of the array of all images.
    """
    images, done = empty(shape), 0
    labels: list[np.ndarray] = []
    for batch in batches:
        images[done : done + len(batch)] = batch.images
        labels.append(batch.labels)
        done += len(batch)
        release(images)
    return LabelledImages(on_disk(images), np.concatenate(labels))


def _as_rows(images: object) -> Rows | None:
    return images if isinstance(images, Rows) else None


def release(array: Any) -> None:
    """Let the operating system have the memory of a memory-mapped `array` back; its values stay."""
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.madvise(mmap.MADV_DONTNEED)


def load(folder: Path) -> LabelledImages:
    """Return the images in `folder`, memory-mapped.

    Raises:
        InputError: missing or damaged files, or images that do not match their labels.
    """
    images, labels = _load(folder, FILES)
    return LabelledImages(on_disk(images), labels)


def save(folder: Path, batches: Iterable[LabelledImages], shape: tuple[int, ...], labels: Any) -> None:
    """Write the images of all `batches` into `folder`, see `LabelledImages.save`.

    Args:
        shape: of the array of all images.
        labels: the dtype of the labels.

    Raises:
        InputError: the disk is too small.
    """
    check_space(folder, int(np.prod(shape, dtype=np.int64)))
    folder.mkdir(parents=True, exist_ok=True)
    numbers = []
    with _File(folder / FILES[0], np.dtype(np.uint8), shape) as file:
        for batch in batches:
            file.write(batch.images)
            numbers.append(batch.labels)
    with _File(folder / FILES[1], np.dtype(labels), shape[:1]) as labels_file:
        labels_file.write(np.concatenate(numbers))
    _save_sums(folder, {FILES[0]: file, FILES[1]: labels_file})


def save_unlabelled(images: np.ndarray, folder: Path) -> None:
    """Write `images`, uint8, and their checksum into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with _File(folder / FILES[0], images.dtype, images.shape) as file:
        for start in range(0, len(images), BATCH):
            file.write(images[start : start + BATCH])
    _save_sums(folder, {FILES[0]: file})


def check_space(folder: Path, count: int) -> None:
    """Check that the disk of `folder` has room for `count` bytes, and for as many in DVC's cache.

    Raises:
        InputError: it has not.
    """
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if count > IN_MEMORY:
        print(f"{folder}: {_size(count)} on disk, and as much in DVC's cache")
    if free < 2 * count:
        raise InputError(
            f"{folder}: expected {_size(2 * count)} of free disk space, with the copy in DVC's cache, found "
            f"{_size(free)}. Nothing was written. Free some with `dvc gc --workspace`, or store fewer images."
        )


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


class _File:
    """An array in NumPy's format, written row by row; its checksum is computed on the way."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.sha256, self.file = hashlib.sha256(), path.open("wb")
        header = io.BytesIO()
        about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, about)
        self._write(header.getbuffer())

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, rows: np.ndarray) -> None:
        self._write(np.ascontiguousarray(rows).data)

    def _write(self, content: memoryview) -> None:
        self.sha256.update(content)
        self.file.write(content)


def _save_sums(folder: Path, files: Mapping[str, _File]) -> None:
    (folder / SUMS).write_text("".join(f"{file.sha256.hexdigest()}  {name}\n" for name, file in files.items()))


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


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
