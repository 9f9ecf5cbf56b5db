"""Stratified splits of labelled images."""

import numpy as np
from sklearn.model_selection import train_test_split

from digits.errors import InputError


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
            f"{len(rows) - len(classes)} images, since there are {len(rows)} of {len(classes)} classes; or a fraction, "
            "such as 0.1."
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
