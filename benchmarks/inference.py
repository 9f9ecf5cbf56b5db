"""Latency and throughput of the models of the last `dvc repro`, with ONNX Runtime: `python -m benchmarks.inference`.

Latency is that of `Classifier.predict_proba` for one image on one thread; throughput is in images per second, in
batches on all cores. All models take turns in several rounds, of which the first is a warm-up. The winner also
recognises photos of 1000x1000 pixels, from grey values to digits: photo.json.
"""

import os
import statistics
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import benchmarks
from digits.model import Classifier
from digits.recognise import recognise_digits
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages

PHOTOS = 200
ROUNDS, SINGLE, MANY = 7, 300, 5_000  # images per round, one at a time and in batches


def latencies(classifier: Classifier, images: np.ndarray) -> list[float]:
    """Return the milliseconds for each of `images` (n, 1, 28, 28), one at a time."""
    found = []
    for row in range(len(images)):
        start = time.perf_counter()
        classifier.predict_proba(images[row : row + 1])
        found.append(1_000 * (time.perf_counter() - start))
    return found


def throughput(classifier: Classifier, images: np.ndarray) -> float:
    """Return the number of `images` (n, 1, 28, 28) per second, in batches of `digits.model.BATCH`."""
    start = time.perf_counter()
    classifier.predict_proba(images)
    return len(images) / (time.perf_counter() - start)


def quantiles(milliseconds: list[float]) -> dict[str, float]:
    """Return median and 99th percentile."""
    p50, p99 = np.quantile(milliseconds, [0.5, 0.99])
    return {"milliseconds_p50": round(float(p50), 4), "milliseconds_p99": round(float(p99), 4)}


def measure_models(folders: list[Path], images: np.ndarray) -> dict[str, Any]:
    """Return latency, throughput and SHA-256 of the model in each of `folders`."""
    one_thread = {folder.name: Classifier.load(folder, threads=1) for folder in folders}
    all_cores = {folder.name: Classifier.load(folder, threads=os.cpu_count() or 1) for folder in folders}
    single: dict[str, list[float]] = {name: [] for name in one_thread}
    batched: dict[str, list[float]] = {name: [] for name in one_thread}
    for round_ in range(ROUNDS + 1):
        for name in one_thread:
            milliseconds, rate = latencies(one_thread[name], images[:SINGLE]), throughput(all_cores[name], images)
            if round_:
                single[name] += milliseconds
                batched[name].append(rate)
    return {
        name: {
            **quantiles(single[name]),
            "images_a_second": round(statistics.median(batched[name])),
            "sha256": classifier.metadata["sha256"],
        }
        for name, classifier in one_thread.items()
    }


def photos(digits: LabelledImages) -> list[np.ndarray]:
    """Return a photo (1000, 1000) float32 in [0, 1] of each digit, large, on unevenly lit and grainy paper."""
    rng = np.random.default_rng(0)
    light = np.linspace(0.9, 0.6, 1000, dtype=np.float32) * np.linspace(1, 0.85, 1000, dtype=np.float32)[:, None]
    found = []
    for digit in digits.images:
        ink = np.zeros((1000, 1000), np.float32)
        ink[200:760, 200:760] = cv2.resize(digit, (560, 560), interpolation=cv2.INTER_CUBIC) / np.float32(255)
        grain = 0.01 * rng.standard_normal((1000, 1000), np.float32)
        found.append((light * (1 - 0.7 * ink) + grain).clip(0, 1))
    return found


def measure_photos(classifier: Classifier, pictures: list[np.ndarray]) -> dict[str, Any]:
    """Return the latency of `recognise_digits`, and in how many of `pictures` it finds exactly one digit."""
    milliseconds, found = [], 0
    for picture in pictures:
        start = time.perf_counter()
        digits = recognise_digits(classifier, picture)
        milliseconds.append(1_000 * (time.perf_counter() - start))
        found += len(digits) == 1
    return {**quantiles(milliseconds), "photos": len(pictures), "one_digit_read": found}


def main() -> None:
    """Measure every model in models/ and the winner on photos, print and write the results."""
    test = arrays.load(arrays.TEST)
    folders = [path.parent for path in sorted(Path("models").glob("*/model.onnx")) if path.parent.name != "best"]
    photo = measure_photos(Classifier.load("models/best"), photos(test.first(PHOTOS)))
    print(f"one photo: {photo['milliseconds_p50']:.2f} ms")
    results = measure_models(folders, test.first(MANY).scaled())
    for name, row in results.items():
        print(f"{name}: {row['milliseconds_p50']:.3f} ms for one image, {row['images_a_second']:,} images per second")
    benchmarks.write("inference", results)
    benchmarks.write("photo", photo)


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.inference")
