"""Stage `corrupt`: test images spoilt in many ways, and another dataset's digits, to measure models by: data/corrupted.

No model learns from them and nothing is chosen by them.
"""

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
from pathlib import Path

import numpy as np
from rich.progress import track

from pipeline import params
from pipeline.datasets import arrays, records
from pipeline.datasets.arrays import LabelledImages
from pipeline.imaging.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from pipeline.imaging.resizing import resize
from pipeline.reporting import plots

OTHERS = "digits"  # the dataset that no model has learned from, unless it is the one of params.yaml
ROLES = ("images", "labels")
SAMPLES = Path("plots/corrupt/samples.png")


def spread(images: LabelledImages, count: int) -> LabelledImages:
    """Return at most `count` of `images`, evenly spread: the second half of MNIST's test images is by other writers."""
    count = min(count, len(images))
    rows = np.arange(count) * len(images) // count
    return LabelledImages(images.images[rows], images.labels[rows])


def spoilt(clean: LabelledImages, name: str, seed: int) -> LabelledImages:
    """Return `clean` with the corruption `name`, in the first severity, then in the second and in the third."""
    images = np.concatenate([corrupt(name, clean.images, severity, seed) for severity in SEVERITIES])
    return LabelledImages(images, np.tile(clean.labels, len(SEVERITIES)))


def foreign(name: str) -> LabelledImages:
    """Return all digits of the bundled dataset `name`, resized to 28x28 and no more."""
    record = records.get(name)
    assert record.bundled
    found = record.bundled()
    images, labels = (np.concatenate([found[f"{half}_{role}"] for half in ("train", "test")]) for role in ROLES)
    return LabelledImages(resize(images), labels)


def main() -> None:
    """Read data/prepared/test, write data/corrupted and a picture of samples."""
    settings = params.load()
    clean = spread(arrays.load(arrays.TEST), settings.robustness.images)
    clean.save(arrays.CLEAN)
    rows = {}
    for name in track(CORRUPTIONS, "corrupt", transient=True):
        found = spoilt(clean, name, settings.seed)
        found.save(arrays.CORRUPTED / name)
        rows[name] = found.images.reshape(len(SEVERITIES), len(clean), arrays.SIZE, arrays.SIZE)
    if settings.dataset != OTHERS:
        foreign(OTHERS).save(arrays.FOREIGN)
    firsts = [int(np.flatnonzero(clean.labels == digit)[0]) for digit in sorted(set(clean.labels.tolist()))]
    plots.save(plots.corruptions({name: images[:, firsts] for name, images in rows.items()}), SAMPLES)
    print(f"{len(clean):,} images in {len(CORRUPTIONS)} corruptions of {len(SEVERITIES)} severities each")


if __name__ == "__main__":
    runtime.run(main)
