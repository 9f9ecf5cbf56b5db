"""How fast the models of the last `dvc repro` answer, through ONNX Runtime: `python -m benchmarks.inference`.

Latency is that of `Classifier.probabilities` for one image on one thread; throughput is images a second in batches, on
all cores. Medians of rounds in which all models take turns.
"""

import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

import benchmarks
from pipeline.artifact import Classifier
from pipeline.datasets import arrays

ROUNDS, SINGLE, MANY = 7, 300, 5_000  # images timed one by one, and in batches, in each round


def latencies(classifier: Classifier, images: np.ndarray) -> list[float]:
    """Return the milliseconds that each of `images` takes by itself."""
    found = []
    for row in range(len(images)):
        start = time.perf_counter()
        classifier.probabilities(images[row : row + 1])
        found.append(1_000 * (time.perf_counter() - start))
    return found


def images_a_second(classifier: Classifier, images: np.ndarray) -> float:
    """Return how many of `images` are answered in a second, in batches of `artifact.BATCH`."""
    start = time.perf_counter()
    classifier.probabilities(images)
    return len(images) / (time.perf_counter() - start)


def main() -> None:
    """Measure every model under models/, print and write it."""
    images = arrays.load(arrays.TEST).first(MANY).scaled()
    folders = [path.parent for path in sorted(Path("models").glob("*/model.onnx")) if path.parent.name != "best"]
    one = {folder.name: Classifier.load(folder, threads=1) for folder in folders}
    all_cores = {folder.name: Classifier.load(folder, threads=os.cpu_count() or 1) for folder in folders}
    single: dict[str, list[float]] = {name: [] for name in one}
    batched: dict[str, list[float]] = {name: [] for name in one}
    for round_ in range(ROUNDS + 1):
        for name in one:
            milliseconds, rate = latencies(one[name], images[:SINGLE]), images_a_second(all_cores[name], images)
            if round_:  # the first only warms up
                single[name] += milliseconds
                batched[name].append(rate)
    results: dict[str, Any] = {
        name: {
            "milliseconds_p50": round(statistics.median(single[name]), 4),
            "milliseconds_p99": round(float(np.quantile(single[name], 0.99)), 4),
            "images_a_second": round(statistics.median(batched[name])),
            "sha256": one[name].card["sha256"],
        }
        for name in one
    }
    for name, row in results.items():
        print(f"{name}: {row['milliseconds_p50']:.3f} ms for one, {row['images_a_second']:,} images a second")
    benchmarks.write("inference", results)


if __name__ == "__main__":
    main()
