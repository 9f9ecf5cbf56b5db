"""One network versus the mean of several: `python -m benchmarks.ensemble FOLDER cnn_best --sizes 5 10`.

FOLDER has what `python -m benchmarks.training cnn_best --keep FOLDER` stored for each seed: the probabilities of the
network on validation and test images. Averaging their logarithms is nearly what a model with `ensemble_size` does: each
network here has a temperature of its own. The results are accuracies of each network, and of the mean of each five
networks, in the order of their seeds, and of all ten.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import benchmarks
from pipeline.datasets import arrays
from pipeline.scoring.rounding import rounded

SPLITS = {"validation": arrays.VALIDATION, "test": arrays.TEST}
MIN_PROBABILITY = 1e-9  # before the logarithm


def measure(files: list[Path], sizes: Sequence[int]) -> dict[str, Any]:
    """Return, for each split, the accuracies of the networks in `files`, and for each of `sizes` those of the mean
    logits of the first so many networks, of the next so many, and so on.
    """
    stored = []
    for file in files:
        with np.load(file) as probabilities:
            stored.append({split: probabilities[split] for split in SPLITS})
    found: dict[str, Any] = {"models": [file.stem for file in files]}
    for split, folder in SPLITS.items():
        labels = arrays.load(folder).labels
        logits = [np.log(np.maximum(each[split], MIN_PROBABILITY)) for each in stored]
        found[split] = {}
        for size in (1, *sizes):
            groups = [logits[start : start + size] for start in range(0, len(logits) - size + 1, size)]
            found[split][str(size)] = [
                rounded((np.mean(group, axis=0).argmax(axis=1) == labels).mean()) for group in groups
            ]
    return found


def main() -> None:
    """Measure the names on the command line, print and write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ensemble", description="One network versus the mean of several."
    )
    parser.add_argument("folder", type=Path, help="folder of `benchmarks.training --keep`")
    parser.add_argument("names", nargs="+", help="models or presets whose networks to average")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5], help="numbers of networks to average")
    options = parser.parse_args()
    results = benchmarks.read("ensemble")
    for name in options.names:
        files = sorted(options.folder.glob(f"{name}-*.npz"), key=lambda file: int(file.stem.split("-")[-1]))
        if len(files) < max(options.sizes):
            parser.error(
                f"expected at least {max(options.sizes)} files {options.folder}/{name}-*.npz, found {len(files)}."
            )
        results[name] = measure(files, options.sizes)
        print(name, results[name])
    benchmarks.write("ensemble", results)


if __name__ == "__main__":
    main()
