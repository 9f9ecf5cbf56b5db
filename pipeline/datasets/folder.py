"""A folder of one's own images as a dataset.

The images are in one folder per class, or together with a table labels.csv:

    data/own/cat/1.png          data/own/labels.csv      file,label
    data/own/cat/2.png          data/own/a/1.png         a/1.png,cat
    data/own/dog/1.jpg          data/own/a/2.png         a/2.png,dog

The folders `train` and `test`, each in one of these forms, divide them; otherwise `preprocess` sets test images aside.
Hidden files and those in IGNORED are left alone; any other file that is not an image is an error, so that no image is
overlooked. Classes are in natural order: class 2 before class 10.

Every image is resized to exactly the given height and width, bicubic with antialiasing. Images of another aspect ratio
are stretched, so that nothing is cut off; pad or crop them beforehand if their shape matters. EXIF orientation is
applied, transparent pixels become white, 16-bit values are divided by 257, and of several frames the first is read.
"""

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.progress import track

from digits.errors import InputError
from digits.images import FORMATS, PILLOW_ERRORS
from pipeline import json_file
from pipeline.datasets import arrays, names
from pipeline.datasets.arrays import LabelledImages, Shape
from pipeline.datasets.records import File, Record
from pipeline.params import Folder

OWN = Path("data/own")
SPLITS = ("train", "test")
LABELS = "labels.csv"
COLUMNS = ["file", "label"]
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
IGNORED = ("thumbs.db", "desktop.ini", "readme.md", "__macosx")  # in lower case
METADATA = "metadata.json"  # beside the arrays: names of the classes, size and number of the images
ADVICE = "See data/own/README.md."

Found = dict[str, list[tuple[Path, str]]]  # image files and their classes, by split


def find(root: Path = OWN) -> Found:
    """Return the images in `root` and their classes, by split: "train" and "test", or only "train" if there are no such
    folders. Files are in the order of their names, the same on all systems.

    Raises:
        InputError: no images, a single class, an empty class, other files, or a table that does not match the images.
    """
    entries = {path.name for path in _visible(root)} if root.is_dir() else set()
    divided = entries.issuperset(SPLITS)
    if divided and (other := entries.difference(SPLITS)):
        raise InputError(f"{root}: expected nothing beside the folders train and test, found {min(other)!r}. {ADVICE}")
    folders = {split: root / split for split in SPLITS} if divided else {"train": root}
    found = {split: _labelled(folder) for split, folder in folders.items()}
    for split, images in found.items():
        if not images:
            raise InputError(f"{folders[split]}: expected images in one folder per class, found none. {ADVICE}")
    classes = {name for _, name in found["train"]}
    if len(classes) < 2:
        raise InputError(f"{folders['train']}: expected at least 2 classes, found only {classes.pop()!r}. {ADVICE}")
    if other := {name for images in found.values() for _, name in images} - classes:
        raise InputError(f"{folders['test']}: expected the classes of the training images, found also {min(other)!r}.")
    return found


def read(found: Found, raw: Path, shape: Shape) -> None:
    """Decode the images `found`, resize them to `shape`, and write them to the folder `raw`: arrays by split, and what
    `describe` reads.

    Raises:
        InputError: an image cannot be read.
    """
    classes = sorted({name for _, name in found["train"]}, key=natural)
    number = {name: label for label, name in enumerate(classes)}
    dtype = np.uint8 if len(classes) <= 256 else np.uint16
    for split, files in found.items():
        size = (shape.height, shape.width) if shape.channels == 1 else (shape.height, shape.width, 3)
        images = np.empty((len(files), *size), np.uint8)
        for image, (path, _) in zip(images, track(files, f"read {split}", transient=True), strict=True):
            image[:] = read_image(path, shape)
        LabelledImages(images, np.array([number[name] for _, name in files], dtype)).save(raw / split)
        names.save([path.as_posix() for path, _ in files], raw / split)
    counts = {split: len(files) for split, files in found.items()}
    json_file.write(raw / METADATA, {"classes": classes, "shape": list(shape), "images": counts})


def read_image(path: Path, shape: Shape) -> np.ndarray:
    """Return the image in the file `path`, (height, width) or (height, width, 3) uint8. See the module's docstring.

    Raises:
        InputError: not an image, a broken one, or values of more than 16 bits.
    """
    try:
        with Image.open(path, formats=FORMATS) as opened:
            opened.draft(opened.mode, (2 * max(shape[1:]), 2 * max(shape[1:])))  # large JPEG files are read faster
            image = _eight_bits(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError:
        raise InputError(f"{path}: expected an image ({', '.join(FORMATS)}), found something else.") from None
    except PILLOW_ERRORS as error:
        raise InputError(
            f"{path}: expected a valid image, found a broken one ({error}). Replace or delete it."
        ) from None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if shape.channels == 1 else "RGB")
    return np.asarray(image.resize((shape.width, shape.height), Image.Resampling.BICUBIC))


def describe(record: Record, raw: Path, how: Folder) -> Record:
    """Return `record` with what `read` wrote to `raw`, files, counts, classes and size, and what params.yaml says.

    Raises:
        InputError: `digits`, but not of ten classes 0 to 9 or not of 28x28 grey pixels; or there is nothing in `raw`.
    """
    if not (raw / METADATA).exists():
        raise InputError(f"{raw / METADATA} not found. Run `dvc repro download` to make it.")
    about = json_file.read(raw / METADATA)
    published, classes, counts = Shape(*about["shape"]), tuple(about["classes"]), about["images"]
    own = replace(
        record,
        title=f"{how.title}, {sum(counts.values()):,} images of {published.width}x{published.height} pixels",
        files=tuple(_files(raw, counts)),
        classes=classes,
        published=published,
        train=counts["train"],
        test=counts.get("test", 0),
        digits=how.digits,
        warp=how.warp,
        horizontal_flip=how.horizontal_flip,
    )
    if how.digits and (own.shape != published or classes != tuple("0123456789")):
        raise InputError(
            "params.yaml: folder.digits: expected grey images of 28x28 pixels in ten classes 0 to 9 for digits, found "
            f"{published.channels} channels, {published.width}x{published.height} pixels and {len(classes)} classes "
            f"({', '.join(classes[:10])}). Set it to false, or change height, width, color and classes."
        )
    return own


def natural(name: str) -> tuple[list[str | int], str]:
    """Return the key that sorts names with numbers by their values, and otherwise without regard to case."""
    parts = re.split(r"([0-9]+)", name.casefold())  # text, number, text, ..., text
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def _files(raw: Path, splits: Iterable[str]) -> Iterator[File]:
    for split in splits:
        for line in (raw / split / arrays.SUMS).read_text().splitlines():
            checksum, name = line.split("  ")
            yield File(f"{split}/{name}", checksum)


def _visible(folder: Path) -> list[Path]:
    """Return what is in `folder` except hidden and ignored files, in the order of the names."""
    found = [path for path in folder.iterdir() if not path.name.startswith(".") and path.name.lower() not in IGNORED]
    return sorted(found, key=lambda path: _normal(path.name))


def _normal(name: str) -> str:
    """Return `name` in Unicode's composed form: macOS may store file names in the other."""
    return unicodedata.normalize("NFC", name)


def _labelled(folder: Path) -> list[tuple[Path, str]]:
    """Return the images in `folder` and their classes."""
    entries = _visible(folder) if folder.is_dir() else []
    if folder / LABELS in entries:
        return list(_by_table(folder))
    return [pair for entry in entries for pair in _by_folder(entry)]


def _by_folder(folder: Path) -> Iterator[tuple[Path, str]]:
    if not folder.is_dir():
        raise InputError(f"{folder}: expected folders named after classes, or {LABELS}, found a file. {ADVICE}")
    entries = _visible(folder)
    if not entries:
        raise InputError(f"{folder}: expected images of this class, found none. Add some, or delete the folder.")
    for path in entries:
        if path.is_dir():
            raise InputError(f"{path}: expected images of the class {folder.name!r}, found a folder. {ADVICE}")
        yield _image(path), _normal(folder.name)


def _by_table(folder: Path) -> Iterator[tuple[Path, str]]:
    table = folder / LABELS
    labels = _read_table(table)
    paths = {_normal(path.relative_to(folder).as_posix()): path for path in _walk(folder) if path != table}
    for name, path in paths.items():
        if name not in labels:
            raise InputError(f"{_image(path)}: expected a line in {table} for this image, found none.")
    for name in labels:
        if name not in paths:
            raise InputError(f"{table}: expected files in {folder}, found no {name!r} there.")
    yield from ((paths[name], labels[name]) for name in sorted(paths))


def _read_table(table: Path) -> dict[str, str]:
    """Return the labels in `table` by the name of the file, with / between folders."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:  # Excel begins UTF-8 files with a mark
            rows = [(reader.line_num, row) for reader in [csv.reader(file, strict=True)] for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: expected CSV in UTF-8, found something else ({error}).") from None
    header = [cell.strip() for cell in rows[0][1]] if rows else []
    if sorted(header) != COLUMNS:
        raise InputError(
            f"{table}: expected the columns {','.join(COLUMNS)} in its first line, found {','.join(header)!r}."
        )
    labels: dict[str, str] = {}
    for line, row in rows[1:]:
        cells = dict(zip(header, (_normal(cell.strip()) for cell in row), strict=False))
        if len(row) != len(header) or not all(cells.values()):
            raise InputError(f"{table}, line {line}: expected a file and a label, found {','.join(row)!r}.")
        name = PurePosixPath(cells["file"].replace("\\", "/")).as_posix()
        if name in labels:
            raise InputError(f"{table}, line {line}: expected each file once, found {name!r} again.")
        labels[name] = cells["label"]
    return labels


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the visible files in `folder` and in the folders inside it."""
    for path in _visible(folder):
        yield from _walk(path) if path.is_dir() else [path]


def _image(path: Path) -> Path:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected images ({', '.join(SUFFIXES)}), found another file. Convert or move it.")
    return path


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return `image`, with values of 16 bits divided by 257."""
    if image.mode == "F":
        raise ValueError("its values are floats; 8 or 16 bits are supported")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65_535:
        raise ValueError(f"its values are {values.min()} to {values.max()}; 8 or 16 bits are supported")
    return Image.fromarray((values / 257).round().astype(np.uint8))
