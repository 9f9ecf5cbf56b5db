"""Stratified splits of labelled images, written to disk in batches."""

from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from digits import checksums
from digits.errors import InputError
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages

BATCH = 1_000  # images that are copied at a time; bounds memory


def split(
    labels: np.ndarray, rows: np.ndarray, held_out: float, seed: int, key: str, classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Divide `rows` into two parts, shuffled and stratified by class.

    Args:
        labels: (n,) integers, the classes of all rows.
        rows: (m,) integers below n.
        held_out: the size of the second part: a number of images, or below 1 the fraction of them.
        key: of params.yaml that sets `held_out`, for messages.
        classes: names, in the order of the labels.

    Raises:
        InputError: the parts would not both have images of every class.
    """
    count = int(held_out) if held_out >= 1 else round(held_out * len(rows))
    per_class = np.bincount(labels[rows], minlength=len(classes))
    if per_class.min() < 2:
        few = int(per_class.argmin())
        raise InputError(
            f"params.yaml: {key}: expected at least 2 images of each class to divide, found {per_class[few]} of "
            f"{classes[few]!r}. Add images of it."
        )
    if not len(classes) <= count <= len(rows) - len(classes):
        raise InputError(
            f"params.yaml: {key}: found {held_out}, {count:,} images. Allowed: {len(classes)} to "
            f"{len(rows) - len(classes)} images, since there are {len(rows)} of {len(classes)} classes."
        )
    kept, taken = train_test_split(rows, test_size=count, stratify=labels[rows], random_state=seed)
    for part in (kept, taken):
        found = np.bincount(labels[part], minlength=len(classes))
        if not found.all():
            lost = int(found.argmin())
            raise InputError(
                f"params.yaml: {key}: found {held_out}. None of {per_class[lost]} images of {classes[lost]!r} would "
                f"be among the {len(part):,} that are {'left' if part is kept else 'set aside'}. Change {key} or add "
                "images."
            )
    return kept, taken


def save(images: LabelledImages, rows: np.ndarray, folder: Path) -> None:
    """Write `images` at `rows` as `images.at(rows).save(folder)` does, without holding them in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, array in zip(arrays.FILES, (images.images, images.labels), strict=True):
        shape = (len(rows), *array.shape[1:])
        header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": shape}
        with (folder / name).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(rows), BATCH):
                file.write(array[rows[start : start + BATCH]].tobytes())
        lines.append(f"{checksums.sha256(folder / name)}  {name}\n")
    (folder / arrays.SUMS).write_text("".join(lines))
