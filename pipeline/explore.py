"""Stage `explore`: plots and statistics of the training data. The test images are not read."""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.explore")

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from pipeline import json_file, params
from pipeline.datasets import arrays
from pipeline.reporting import plots

FOLDER, STATISTICS = Path("plots/explore"), Path("results/data.json")
EMBEDDED_SIZE = 32  # pixels per side of the images whose embedding is computed


def embed(images: np.ndarray, seed: int) -> np.ndarray:
    """Return points (n, 2) for uint8 `images` (n, height, width) or (n, height, width, 3): t-SNE of the first 30
    principal components, of every k-th pixel of images that are much larger than EMBEDDED_SIZE.
    """
    step = max(1, max(images.shape[1:3]) // EMBEDDED_SIZE)
    flat = images[:, ::step, ::step].reshape(len(images), -1) / np.float64(255)
    components = PCA(min(30, *flat.shape), svd_solver="full").fit_transform(flat)
    return TSNE(perplexity=min(30, len(images) / 4), random_state=seed, init="pca").fit_transform(components)


def describe(train: arrays.LabelledImages, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return `metadata` with statistics of the training images; how much of digits is ink, too."""
    different = {hashlib.sha256(image).digest() for batch in train.batches() for image in batch.images}
    found: dict[str, Any] = {"identical_images": len(train) - len(different)}
    if metadata["digits"]:
        ink = np.asarray(train.images) >= 128
        found |= {
            "background_fraction": round(float((np.asarray(train.images) == 0).mean()), 4),
            "ink_fraction_per_digit": [round(float(ink[train.labels == digit].mean()), 4) for digit in range(10)],
        }
    return metadata | found


def main() -> None:
    """Read data/prepared/train, write plots/explore and results/data.json."""
    settings = params.load()
    train = arrays.load(arrays.TRAIN)
    metadata = json_file.read(arrays.METADATA)
    with Console(stderr=True).status("explore: computing t-SNE"):
        chosen = train.first(settings.explore.embedded_images)
        points = embed(chosen.images, settings.seed)
    classes, digits = metadata["classes"], metadata["digits"]
    rows = settings.explore.samples_per_class
    figures = {
        "class_balance": plots.class_balance(metadata["images_per_class"], classes, digits=digits),
        "samples": plots.samples(train.images, train.labels, classes, rows, digits=digits),
        "mean_and_std": plots.mean_and_std(train.images, train.labels, classes),
        "pixel_values": plots.intensity(train.images, digits=digits),
        "embedding": plots.embedding(points, chosen.labels, classes),
    }
    for name, figure in figures.items():
        plots.save(figure, FOLDER / f"{name}.png")
    json_file.write(STATISTICS, describe(train, metadata))
    print(f"{FOLDER}: {len(figures)} plots")
