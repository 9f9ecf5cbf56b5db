"""Names of the files that images were read from: files.txt beside the arrays of a split, one line per image.

Datasets that were published as arrays have none.
"""

from collections.abc import Sequence
from pathlib import Path

FILE = "files.txt"


def save(names: Sequence[str], folder: Path) -> None:
    """Write the `names` of the files of the images in `folder`, in their order."""
    (folder / FILE).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def load(folder: Path) -> list[str] | None:
    """Return the names of the files of the images in `folder`; None if they have none."""
    path = folder / FILE
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else None
