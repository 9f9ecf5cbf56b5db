"""Stage `explore`: plots and statistics of the training data. The test images are not read."""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.explore")

from pathlib import Path

import numpy as np
from rich.console import Console
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from pipeline import json_file, params
from pipeline.datasets import arrays
from pipeline.reporting import plots

FOLDER, STATISTICS = Path("plots/explore"), Path("results/data.json")


def embed(images: np.ndarray, seed: int) -> np.ndarray:
    """Return points (n, 2) for `images` (n, height, width): t-SNE of the first 30 principal components."""
    flat = images.reshape(len(images), -1) / np.float64(255)
    components = PCA(min(30, len(images)), svd_solver="full").fit_transform(flat)
    return TSNE(perplexity=min(30, len(images) / 4), random_state=seed, init="pca").fit_transform(components)


def describe(train: arrays.LabelledImages, metadata: dict[str, object]) -> dict[str, object]:
    """Return `metadata` with statistics of the training images."""
    ink = np.asarray(train.images) >= 128
    return metadata | {
        "background_fraction": round(float((np.asarray(train.images) == 0).mean()), 4),
        "ink_fraction_per_digit": [round(float(ink[train.labels == digit].mean()), 4) for digit in range(10)],
        "identical_images": len(train) - len(np.unique(train.images.reshape(len(train), -1), axis=0)),
    }


def main() -> None:
    """Read data/prepared/train, write plots/explore and results/data.json."""
    settings = params.load()
    train = arrays.load(arrays.TRAIN)
    metadata = json_file.read(arrays.METADATA)
    with Console(stderr=True).status("explore: computing t-SNE"):
        chosen = train.first(settings.explore.embedded_images)
        points = embed(chosen.images, settings.seed)
    figures = {
        "class_balance": plots.class_balance(metadata["images_per_digit"]),
        "samples": plots.samples(train.images, train.labels, settings.explore.samples_per_digit),
        "mean_and_std": plots.mean_and_std(train.images, train.labels),
        "pixel_values": plots.intensity(train.images),
        "embedding": plots.embedding(points, chosen.labels),
    }
    for name, figure in figures.items():
        plots.save(figure, FOLDER / f"{name}.png")
    json_file.write(STATISTICS, describe(train, metadata))
    print(f"{FOLDER}: {len(figures)} plots")
