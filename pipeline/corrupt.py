"""Stage `corrupt`: corrupted test images, and the digits of another dataset, to measure robustness: data/corrupted.

The corruptions are those of the development suite. No model is trained on the images.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.corrupt")

from pathlib import Path

import numpy as np
from rich.progress import track

from digits.interface import SIZE
from pipeline import json_file, params
from pipeline.datasets import arrays, records
from pipeline.datasets.arrays import LabelledImages
from pipeline.datasets.resizing import resize
from pipeline.reporting import plots
from pipeline.robustness.corruptions import CORRUPTIONS, SEVERITIES, Corruption, corrupt

EXTERNAL_DATASET = "digits"  # tested on, unless the models are trained on it
SAMPLES = Path("plots/corrupt/samples.png")


def spread_out(images: LabelledImages, count: int) -> LabelledImages:
    """Return at most `count` of `images`, evenly spaced: different people wrote the halves of MNIST's test set."""
    count = min(count, len(images))
    return images.at(np.arange(count) * len(images) // count)


def at_all_severities(clean: LabelledImages, corruption: Corruption, seed: int) -> LabelledImages:
    """Return `clean` with `corruption`, first at severity 1, then at 2, then at 3."""
    images = np.concatenate([corrupt(corruption, clean.images, severity, seed) for severity in SEVERITIES])
    return LabelledImages(images, np.tile(clean.labels, len(SEVERITIES)))


def external(name: str) -> LabelledImages:
    """Return all digits of the bundled dataset `name`, resized to 28x28 and otherwise unchanged."""
    record = records.get(name)
    assert record.bundled
    found = record.bundled()
    images, labels = (
        np.concatenate([found[f"{half}_{role}"] for half in ("train", "test")]) for role in ("images", "labels")
    )
    return LabelledImages(resize(images), labels)


def main() -> None:
    """Read data/prepared/test, write data/corrupted and a picture of samples."""
    settings = params.load()
    if not json_file.read(arrays.METADATA)["digits"]:
        arrays.leave_out("suite of corruptions", arrays.CORRUPTED, SAMPLES.parent)
        return
    clean = spread_out(arrays.load(arrays.TEST), settings.robustness.images)
    clean.save(arrays.CLEAN)
    rows = {}
    for corruption in track(CORRUPTIONS.values(), "corrupt", transient=True):
        found = at_all_severities(clean, corruption, settings.seed)
        found.save(arrays.CORRUPTED / corruption.name)
        rows[corruption.name] = found.images.reshape(len(SEVERITIES), len(clean), SIZE, SIZE)
    if settings.dataset != EXTERNAL_DATASET:
        external(EXTERNAL_DATASET).save(arrays.EXTERNAL)
    first_of_each = [int(np.flatnonzero(clean.labels == digit)[0]) for digit in sorted(set(clean.labels.tolist()))]
    plots.save(plots.corruptions({name: images[:, first_of_each] for name, images in rows.items()}), SAMPLES)
    print(f"{len(clean):,} images, {len(CORRUPTIONS)} corruptions, {len(SEVERITIES)} severities")
