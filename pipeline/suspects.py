"""Stage `suspects`: the images whose label looks wrong, of each split, most suspicious first.

Several models of one kind learn from train and validation, each without one fold, and read that fold; the test images
are read by all of them. What is found is shown and changes nothing: no image is left out, no label corrected.
"""

import json
from pathlib import Path

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import numpy as np
import torch

from pipeline import classifiers, params
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.reporting import plots
from pipeline.scoring.labels import margins
from pipeline.training.folds import folds, learn

FOLDER = Path("plots/suspects")

Suspect = dict[str, str | int | float]


def read(images: LabelledImages, test: LabelledImages, settings: params.Params) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (n, 10) of `images`, each by a model that did not learn from it, and of `test`, the mean of
    all these models.
    """
    name, count = settings.suspects.model, settings.suspects.folds
    plan = classifiers.plan(name, settings.models)
    on_images, on_test = np.zeros((len(images), 10)), np.zeros((len(test), 10))
    for rest, left_out in folds(images, count, settings.seed):
        runtime.seed(settings.seed)
        fitted = learn(plan.train, name, plan.examples, images.at(rest), settings)
        on_images[left_out] = fitted.probabilities(images.at(left_out))
        on_test += fitted.probabilities(test) / count
    return on_images, on_test


def first(split: str, labels: np.ndarray, probabilities: np.ndarray, count: int) -> list[Suspect]:
    """Return the `count` most suspicious images of a split: row in its arrays, label, suggested digit and score."""
    scores, suggested = margins(probabilities, labels)
    return [
        {
            "split": split,
            "row": int(row),
            "label": int(labels[row]),
            "suggested": int(suggested[row]),
            "score": float(scores[row]),
        }
        for row in np.argsort(scores, kind="stable")[:count]
    ]


def main() -> None:
    """Write the list and a picture of each split."""
    settings = params.load()
    torch.set_num_threads(settings.runtime.threads)
    train, validation, test = (arrays.load(folder) for folder in (arrays.TRAIN, arrays.VALIDATION, arrays.TEST))
    images, count = arrays.joined(train, validation), len(train)
    del train, validation  # they fill memory too
    on_images, on_test = read(images, test, settings)
    splits = {
        "train": (images.first(count), on_images[:count]),
        "validation": (images.at(np.arange(count, len(images))), on_images[count:]),
        "test": (test, on_test),
    }
    found: list[Suspect] = []
    for split, (images, probabilities) in splits.items():
        suspects = first(split, images.labels, probabilities, settings.suspects.shown)
        shown = images.at(np.array([suspect["row"] for suspect in suspects]))
        title = f"{split}: labels that look wrong (label, suggestion, row)"
        captions = [f"{suspect['label']} or {suspect['suggested']}?  {suspect['row']}" for suspect in suspects]
        plots.save(plots.gallery(shown.images, captions, title), FOLDER / f"{split}.png")
        found += suspects
    (FOLDER / "suspects.json").write_text(json.dumps(found, indent=2) + "\n")
    print(f"{FOLDER}/suspects.json: {len(found)} images whose label looks wrong")


if __name__ == "__main__":
    runtime.run(main)
