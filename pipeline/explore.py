"""Stage `explore`: what is in the training data, as pictures in plots/explore. The test images stay unseen."""

import json
from pathlib import Path

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import numpy as np
from rich.console import Console
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from pipeline import params
from pipeline.datasets import arrays
from pipeline.reporting import plots

FOLDER = Path("plots/explore")


def embed(images: np.ndarray, seed: int) -> np.ndarray:
    """Return `images` (n, height, width) as points (n, 2): t-SNE of the first 30 principal components."""
    flat = images.reshape(len(images), -1) / np.float64(255)
    components = PCA(min(30, len(images)), svd_solver="full").fit_transform(flat)
    return TSNE(perplexity=min(30, len(images) / 4), random_state=seed, init="pca").fit_transform(components)


def main() -> None:
    """Draw the train split."""
    settings = params.load()
    train = arrays.load(arrays.TRAIN)
    facts = json.loads(arrays.FACTS.read_text())
    with Console(stderr=True).status("explore: embedding images in two dimensions"):
        chosen = train.first(settings.explore.embedded_images)
        points = embed(chosen.images, settings.seed)
    pictures = {
        "class_balance": plots.class_balance(facts["images_per_digit"]),
        "samples": plots.samples(train.images, train.labels, settings.explore.samples_per_digit),
        "mean_and_spread": plots.mean_and_spread(train.images, train.labels),
        "pixel_values": plots.intensity(train.images),
        "embedding": plots.embedding(points, chosen.labels),
    }
    for name, figure in pictures.items():
        plots.save(figure, FOLDER / f"{name}.png")
    (FOLDER / "facts.json").write_text(json.dumps(describe(train, facts), indent=2) + "\n")
    print(f"{len(pictures)} pictures in {FOLDER}")


def describe(train: arrays.LabelledImages, facts: dict[str, object]) -> dict[str, object]:
    """Return `facts` with what the pictures show as numbers."""
    ink = np.asarray(train.images) >= 128
    return facts | {
        "background_fraction": round(float((np.asarray(train.images) == 0).mean()), 4),
        "ink_fraction_per_digit": [round(float(ink[train.labels == digit].mean()), 4) for digit in range(10)],
        "identical_images": len(train) - len(np.unique(train.images.reshape(len(train), -1), axis=0)),
    }


if __name__ == "__main__":
    runtime.run(main)
