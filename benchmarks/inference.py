"""How fast the models of the last `dvc repro` answer, through ONNX Runtime: `python -m benchmarks.inference`.

Latency is that of `Classifier.probabilities` for one image on one thread; throughput is images a second in batches, on
all cores. Medians of rounds in which all models take turns. A photo of 1000x1000
pixels goes the winner's way from its grey values to the answer, `reading.read`; that is in photo.json.
"""

import os
import statistics
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import benchmarks
from pipeline import reading
from digits.model import Classifier
from pipeline.datasets import arrays

PHOTOS = 200
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


def photos() -> list[np.ndarray]:
    """Return PHOTOS pictures (1000, 1000) float32 in [0, 1]: a test digit each, large, on uneven and grainy paper."""
    rng = np.random.default_rng(0)
    light = np.linspace(0.9, 0.6, 1000, dtype=np.float32) * np.linspace(1, 0.85, 1000, dtype=np.float32)[:, None]
    found = []
    for digit in arrays.load(arrays.TEST).images[:PHOTOS]:
        ink = np.zeros((1000, 1000), np.float32)
        ink[200:760, 200:760] = cv2.resize(digit, (560, 560), interpolation=cv2.INTER_CUBIC) / np.float32(255)
        grain = 0.01 * rng.standard_normal((1000, 1000), np.float32)
        found.append((light * (1 - 0.7 * ink) + grain).clip(0, 1))
    return found


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
    winner, taken, read = Classifier.load("models/best"), [], 0
    for picture in photos():
        start = time.perf_counter()
        read += len(reading.read(winner, picture)) == 1
        taken.append(1_000 * (time.perf_counter() - start))
    print(f"a photo: {statistics.median(taken):.2f} ms")
    for name, row in results.items():
        print(f"{name}: {row['milliseconds_p50']:.3f} ms for one, {row['images_a_second']:,} images a second")
    photo = {
        "milliseconds_p50": round(statistics.median(taken), 3),
        "milliseconds_p99": round(float(np.quantile(taken, 0.99)), 3),
        "photos": PHOTOS,
        "one_digit_read": read,
    }
    benchmarks.write("inference", results)
    benchmarks.write("photo", photo)


if __name__ == "__main__":
    main()
