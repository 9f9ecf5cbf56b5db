"""What the mean of several networks brings over one: `python -m benchmarks.ensemble MODELS cnn_best`.

MODELS is the folder in which `python -m benchmarks.training cnn_best --keep MODELS` left a network of each seed. Their
logits are averaged nearly as in a model with `members`: up to a constant, and each with a temperature of its own.
Results are the shares of validation and test images that each network and all together read right.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import benchmarks
from pipeline import params
from digits.model import Classifier
from pipeline.datasets import arrays

SPLITS = {"validation": arrays.VALIDATION, "test": arrays.TEST}
LEAST = 1e-9  # a probability has a logarithm from here on


def measure(folders: list[Path]) -> dict[str, Any]:
    """Return the accuracies on each split of the models in `folders`, and of their mean."""
    classifiers = [Classifier.load(folder, params.load().runtime.threads) for folder in folders]
    found: dict[str, Any] = {"models": [folder.name for folder in folders]}
    for name, folder in SPLITS.items():
        split = arrays.load(folder)
        images, labels = split.scaled(), np.asarray(split.labels)
        logits = [np.log(np.maximum(classifier.probabilities(images), LEAST)) for classifier in classifiers]
        singles = [float((each.argmax(axis=1) == labels).mean()) for each in logits]
        mean = float((np.mean(logits, axis=0).argmax(axis=1) == labels).mean())
        found[name] = {"singles": [round(single, 6) for single in singles], "mean": round(mean, 6)}
    return found


def main() -> None:
    """Measure each name on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ensemble", description="One network or their mean.")
    parser.add_argument("models", type=Path, help="folder of kept models")
    parser.add_argument("names", nargs="+", help="whose networks to average")
    asked = parser.parse_args()
    results = benchmarks.read("ensemble")
    for name in asked.names:
        folders = sorted(asked.models.glob(f"{name}-*"))
        if not folders:
            parser.error(f"expected networks in {asked.models}/{name}-*, found none.")
        results[name] = measure(folders)
        print(name, results[name])
    benchmarks.write("ensemble", results)


if __name__ == "__main__":
    main()
