"""Command: image files in, digits out.

    python -m pipeline.predict photo.png           a digit and its probability per file
    python -m pipeline.predict --json *.png        the same as JSON, with the probability of every digit
    python -m pipeline.predict --model models/svm photo.png

A picture shows one digit. A file that cannot be read gets an error, the others are read all the same, and the exit code
is 1.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from pipeline import errors
from pipeline.artifact import Classifier
from pipeline.errors import InputError
from pipeline.imaging import pictures
from pipeline.reading import read


def predict(classifier: Classifier, path: Path) -> dict[str, Any]:
    """Return what `classifier` reads in the file `path`, or why it could not be read."""
    try:
        digits = read(classifier, pictures.read(path))
    except InputError as error:
        return {"file": str(path), "text": "", "digits": [], "error": str(error)}
    text = "".join(str(digit.digit) for digit in digits)
    return {"file": str(path), "text": text, "digits": [digit.facts() for digit in digits], "error": None}


def main() -> int:
    """Read the files named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.predict", description="Read the digit in each image.")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--model", type=Path, default=Path("models/best"), help="folder of a model (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON array")
    arguments = parser.parse_args()
    classifier = Classifier.load(arguments.model)
    results = [predict(classifier, path) for path in arguments.images]
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        for result in results:
            print(_line(result))
    return int(any(result["error"] for result in results))


def _line(result: dict[str, Any]) -> str:
    if result["error"]:
        return f"error: {result['error']}"
    if not result["digits"]:
        return f"{result['file']}: no ink, no digit"
    ranked = sorted(enumerate(result["digits"][0]["probabilities"]), key=lambda pair: -pair[1])
    others = ", ".join(f"{digit} {probability:.1%}" for digit, probability in ranked[1:3])
    return f"{result['file']}: {result['text']}  {ranked[0][1]:.1%}  (then {others})"


if __name__ == "__main__":
    errors.run(main)
