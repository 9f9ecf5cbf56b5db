"""Command: pictures in, digits out, as `python -m pipeline.predict` or, once installed, `digits`.

    digits photo.png drawings/ 'scans/*.jpg'    the digits in each picture, from left to right
    digits --json photo.png                     the same with probabilities and boxes, as one JSON array
    digits --csv drawings/ > digits.csv         a line for each digit
    digits --show seen.png photo.png            a picture of what the model saw, and why it answered so
    digits --model models/svm photo.png         read by another model
    camera | digits -                           a picture from standard input

A file that cannot be read gets an error, the others are read all the same, and the exit code is 1.
"""

import argparse
import csv
import glob
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from pipeline import errors
from pipeline.artifact import Classifier
from pipeline.errors import InputError
from pipeline.imaging import pictures
from pipeline.reading import Digit, read

STDIN = "-"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")  # of files that a folder is searched for


@dataclass(frozen=True)
class Reading:
    """What was read in one picture, or why it could not be read."""

    file: str
    digits: list[Digit] = field(default_factory=list)
    error: str | None = None
    grey: np.ndarray | None = None

    @property
    def text(self) -> str:
        """Return the digits from left to right; "" where there is none."""
        return "".join(str(digit.digit) for digit in self.digits)

    def facts(self) -> dict[str, Any]:
        """Return all but the picture, ready for JSON."""
        digits = [digit.facts() for digit in self.digits]
        return {"file": self.file, "text": self.text, "digits": digits, "error": self.error}


def predict(classifier: Classifier, name: str) -> Reading:
    """Return what `classifier` reads in the file `name`; in standard input if that is "-"."""
    try:
        grey = pictures.decode(sys.stdin.buffer.read(), "stdin") if name == STDIN else pictures.read(Path(name))
    except InputError as error:
        return Reading(name, error=str(error))
    return Reading(name, read(classifier, grey), grey=grey)


def files(names: Sequence[str]) -> Iterator[str]:
    """Yield the files that `names` stand for: files themselves, patterns, and the pictures in folders, sorted.

    Raises:
        InputError: a folder without pictures, or a pattern that fits nothing.
    """
    for name in names:
        if Path(name).is_dir():
            found = sorted(str(path) for path in Path(name).rglob("*") if path.suffix.lower() in SUFFIXES)
            expected = f"pictures ({', '.join(SUFFIXES)})"
        elif glob.has_magic(name) and not Path(name).exists():
            found, expected = sorted(glob.glob(name, recursive=True)), "files"  # noqa: PTH207
        else:
            found, expected = [name], ""
        if not found:
            raise InputError(f"{name}: expected {expected}, found none.")
        yield from found


def main() -> int:
    """Read what the command line names."""
    parser = argparse.ArgumentParser(prog="digits", description="Read the digits in pictures, from left to right.")
    parser.add_argument("pictures", nargs="+", help="files, folders, patterns, or - for standard input")
    parser.add_argument("--model", type=Path, default=Path("models/best"), help="folder of a model (%(default)s)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON array")
    form.add_argument("--csv", action="store_true", help="print a line for each digit, with a header")
    parser.add_argument("--show", type=Path, metavar="PNG", help="draw what the model saw, and which ink decided")
    asked = parser.parse_args()
    classifier, names = Classifier.load(asked.model), list(files(asked.pictures))
    readings, some = [], len(names) > 20 and sys.stderr.isatty()
    for name in track(names, "reading", console=Console(stderr=True), disable=not some, transient=True):
        reading = predict(classifier, name)
        readings.append(reading)
        if not (asked.json or asked.csv):
            print(_line(reading), flush=not some)
    if asked.json:
        print(json.dumps([reading.facts() for reading in readings], indent=2))
    if asked.csv:
        _print_csv(readings)
    if asked.show:
        from pipeline.reporting import readings as drawn  # matplotlib takes a second to load

        drawn.save([(r.file, r.grey, r.digits) for r in readings if r.grey is not None], classifier, asked.show)
    sys.stdout.flush()
    for reading in readings:
        if reading.error and (asked.json or asked.csv):
            print(f"error: {reading.error}", file=sys.stderr)
    return int(any(reading.error for reading in readings))


def command() -> None:
    """Run `main` and exit; what the console script calls."""
    errors.run(main)


def _line(reading: Reading) -> str:
    if reading.error:
        return f"error: {reading.error}"
    if not reading.digits:
        return f"{reading.file}: no digit"
    if len(reading.digits) > 1:
        least = min(reading.digits, key=lambda digit: digit.probability)
        return f"{reading.file}: {reading.text}  (least sure of the {least.digit}: {least.probability:.1%})"
    digit = reading.digits[0]
    ranked = sorted(enumerate(digit.probabilities), key=lambda pair: -pair[1])
    others = ", ".join(f"{other} {probability:.1%}" for other, probability in ranked[1:3])
    return f"{reading.file}: {reading.text}  {digit.probability:.1%}  (then {others})"


def _print_csv(readings: Sequence[Reading]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "place", "digit", "probability", "left", "top", "right", "bottom", "error"])
    for reading in readings:
        if not reading.digits:
            writer.writerow([reading.file, *[""] * 7, reading.error or "no digit"])
        for place, digit in enumerate(reading.digits, 1):
            writer.writerow([reading.file, place, digit.digit, f"{digit.probability:.4f}", *digit.box, ""])


if __name__ == "__main__":
    command()
