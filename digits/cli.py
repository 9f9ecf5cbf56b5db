"""The command `digits`, also `python -m digits.cli`: recognise the digits in pictures.

    digits photo.png drawings/ 'scans/*.jpg'    print the digits in each picture
    digits --json photo.png                     with probabilities, boxes and what was rejected, as a JSON array
    digits --csv drawings/ > digits.csv         one row per digit
    digits --show explained.png photo.png       draw the model inputs and explain the results
    digits --model models/svm photo.png         use another model
    camera | digits -                           read a picture from standard input

Files that cannot be read are reported and skipped; the exit code is then 1.
"""

import argparse
import glob
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from digits import errors
from digits.errors import InputError
from digits.images import Picture, decode, load_picture, silence_pillow
from digits.model import Classifier
from digits.recognise import Digit, Rejected, read, summarise

STDIN = "-"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")  # of the files searched for in folders
NOTHING = "no digits found"
MAX_DRAWN = 20  # pictures that `--show` draws, and that are kept for it
MIN_FILES_TO_COUNT = 20  # with more files, progress is shown on a terminal


@dataclass(frozen=True)
class Result:
    """The result for one picture.

    Attributes:
        file: name of the picture, as given.
        digits: in reading order, with boxes in pixels of the file.
        rejected: other ink, with the reason.
        error: why the picture could not be read.
        picture: its content; None if it could not be read or is not needed any more.
    """

    file: str
    digits: list[Digit] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    error: str | None = None
    picture: Picture | None = None

    @property
    def text(self) -> str:
        """Return the digits as a string, "" if there are none."""
        return "".join(str(digit.digit) for digit in self.digits)

    def to_dict(self) -> dict[str, Any]:
        """Return everything except the picture, ready for JSON."""
        return {
            "file": self.file,
            "text": self.text,
            "digits": [digit.to_dict() for digit in self.digits],
            "rejected": [rejected.to_dict() for rejected in self.rejected],
            "error": self.error,
        }


def recognise_file(classifier: Classifier, name: str) -> Result:
    """Return the digits in the file `name`, or in standard input if `name` is "-"."""
    try:
        with _silent_libraries():
            picture = decode(sys.stdin.buffer, "stdin") if name == STDIN else load_picture(name)
    except InputError as error:
        return Result(name, error=str(error))
    digits, rejected = read(classifier, picture.grey)
    return Result(name, picture.in_file(digits), picture.in_file(rejected), picture=picture)


def find_files(names: Sequence[str]) -> Iterator[str]:
    """Yield the files that `names` stand for: files, glob patterns, and folders, whose pictures are sorted by name.

    Raises:
        InputError: a folder has no pictures, or a pattern has no matches.
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
    """Run the command; return its exit code."""
    silence_pillow()
    options = _parse_arguments()
    classifier, names = Classifier.load(options.model), list(find_files(options.pictures))
    classifier.check_digits()
    counting = len(names) > MIN_FILES_TO_COUNT and sys.stderr.isatty()
    results = []
    for number, name in enumerate(names, 1):
        if counting:
            _show_status(f"{number}/{len(names)}")
        result = recognise_file(classifier, name)
        results.append(result if options.show and number <= MAX_DRAWN else replace(result, picture=None))
        if not (options.json or options.csv):
            if counting:
                _show_status("")
            print(_line(result), flush=True)
            if not (result.digits or result.error):
                print(f"{result.file}: {summarise(result.rejected)}", file=sys.stderr, flush=True)
    if counting:
        _show_status("")
    if options.json:
        print(json.dumps([result.to_dict() for result in results], indent=2))
    if options.csv:
        _print_csv(results)
    if options.show:
        from digits.show import draw_results

        draw_results([(r.file, r.picture, r.digits) for r in results if r.picture], classifier, options.show)
    sys.stdout.flush()
    for result in results:
        if result.error and (options.json or options.csv):
            print(f"error: {result.error}", file=sys.stderr)
    return int(any(result.error for result in results))


def command() -> None:
    """Run `main` and exit; the entry point of the console script."""
    errors.run(main)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="digits", description="Recognise the handwritten digits in pictures.")
    parser.add_argument("pictures", nargs="+", help="files, folders, glob patterns, or - for standard input")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="folder of a model (default: the shipped model)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON with probabilities, boxes and rejected ink")
    output.add_argument("--csv", action="store_true", help="print one row per digit, with a header")
    parser.add_argument("--show", type=Path, metavar="PNG", help="draw the model inputs and explain the results")
    return parser.parse_args()


@contextmanager
def _silent_libraries() -> Iterator[None]:
    """Drop what libraries in C write to standard error. libtiff repeats there what becomes an InputError."""
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as null:  # noqa: PTH123
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _show_status(text: str) -> None:
    """Replace the current line of the terminal."""
    print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _line(result: Result) -> str:
    if result.error:
        return f"error: {result.error}"
    if not result.digits:
        return f"{result.file}: {NOTHING}"
    if len(result.digits) > 1:
        least = min(result.digits, key=lambda digit: digit.probability)
        return f"{result.file}: {result.text}  (lowest probability: {least.digit} with {least.probability:.1%})"
    digit = result.digits[0]
    ranked = sorted(enumerate(digit.probabilities), key=lambda pair: -pair[1])
    others = ", ".join(f"{other} {probability:.1%}" for other, probability in ranked[1:3])
    return f"{result.file}: {result.text}  {digit.probability:.1%}  (then {others})"


def _print_csv(results: Sequence[Result]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "position", "digit", "probability", "left", "top", "right", "bottom", "error"])
    for result in results:
        if not result.digits:
            writer.writerow([result.file, *[""] * 7, result.error or NOTHING])
        for position, digit in enumerate(result.digits, 1):
            writer.writerow([result.file, position, digit.digit, f"{digit.probability:.4f}", *digit.box, ""])


if __name__ == "__main__":
    command()
