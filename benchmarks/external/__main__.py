"""Measure models/best on the datasets in the folder EXTERNAL, print the tables and write the results."""

import argparse
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks.external import measure, tables
from benchmarks.external.datasets import RECORDS, Record
from digits import checksums
from digits.errors import InputError
from digits.model import Classifier
from pipeline import json_file
from pipeline.datasets import arrays

LIMIT = 2_000  # images of each file, unless --all
WIDTH = 100  # columns of the tables
TITLE = 17  # of these for the name of the dataset
INTERVALS = ("correct", "rejected")  # ends of the names of columns with intervals
UNREADABLE = (ValueError, IndexError, KeyError, OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error)


def sources(folder: Path | None) -> Iterator[tuple[str, Record, Path]]:
    """Yield the datasets that are there: name, record and path of a file; the path of bundled data is not used."""
    for name, record in RECORDS.items():
        if not record.files:
            yield name, record, Path()
        elif folder:
            paths = [folder / name.split()[0] / file for file in record.files]
            yield from ((name, record, path) for path in paths if path.exists())


def checksum(record: Record, path: Path) -> str:
    """Return whether the file is the published one: "as published", "differs" or "unknown"."""
    expected = record.files.get(path.name)
    if expected is None:
        return "unknown"
    return "as published" if checksums.sha256(path) == expected else "differs"


def measure_file(
    classifier: Classifier, record: Record, path: Path, limit: int | None, digits: measure.Scores | None
) -> list[dict[str, Any]]:
    """Return the results of each group of images in one file, with its name and checksum.

    Raises:
        InputError: the file is not in the published format.
    """
    try:
        found = record.decode(path)
        rows = measure.evenly_spaced(len(found), limit)
        results = measure.measure(classifier, record, found, rows, digits) if len(rows) else []
    except (*UNREADABLE, InputError) as error:
        raise InputError(
            f"{path}: expected {record.title} as published, found something else ({error}). See docs/external.md."
        ) from None
    if not results:
        raise InputError(f"{path}: expected images, found none. See docs/external.md.")
    about = {"file": path.name, "checksum": checksum(record, path), "of": len(found)}
    return [about | result for result in results]


def reference(classifier: Classifier) -> tuple[dict[str, Any], measure.Scores] | None:
    """Return the title, number and false rejection rate of the prepared test digits, and their scores, if there are
    any.
    """
    if not arrays.TEST.exists():
        return None
    test = arrays.load(arrays.TEST)
    probabilities, digitness = classifier.infer(test.scaled())
    rate = 1 - float(classifier.accept(digitness).mean())
    about = {"title": json_file.read(arrays.METADATA)["title"], "images": len(test), "false_rejection_rate": rate}
    return about, measure.scores(probabilities, digitness)


def main(*arguments: str) -> None:
    """Measure every dataset that is there, print and write the results."""
    parser = argparse.ArgumentParser(
        prog="EXTERNAL=folder python -m benchmarks.external",
        description="The shipped model on datasets of others, see docs/external.md.",
    )
    parser.add_argument("--all", action="store_true", help=f"all images, not {LIMIT:,} of each file")
    limit = None if parser.parse_args(arguments).all else LIMIT
    folder = Path(os.environ["EXTERNAL"]).expanduser() if "EXTERNAL" in os.environ else None
    if folder and not folder.is_dir():
        raise InputError(f"EXTERNAL: expected a folder, found {folder}.")
    classifier = Classifier.load("models/best")
    known = reference(classifier)
    results: list[dict[str, Any]] = []
    for name, record, path in sources(folder):
        with Console(stderr=True).status(f"{record.title} {path.name}"):
            scores = known[1] if known else None
            results += [{"dataset": name} | row for row in measure_file(classifier, record, path, limit, scores)]
    console = Console(width=WIDTH)
    for header, rows in (
        (tables.DIGITS, tables.digit_rows(results)),
        (tables.OUTLIERS, tables.outlier_rows(results)),
    ):
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
        table.add_column(header[0], width=TITLE, overflow="fold")
        for name in header[1:]:
            width = 12 if name.endswith(INTERVALS) else max(map(len, name.split()))
            table.add_column(name, justify="right", width=width)
        for row in rows:
            table.add_row(*row)
        console.print(table, end="\n\n")
    about = {"limit": limit, "model": classifier.metadata["sha256"], "reference": known[0] if known else None}
    benchmarks.write("external", about | {"rows": results})


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.external")
