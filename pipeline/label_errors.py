"""Stage `label_errors`: images whose label is probably wrong, ranked, for each split.

Models of one kind are cross-validated on train and validation, so that each image is predicted by a model that was not
fitted to it; the test images are predicted by the mean of all these models. The results are for people to look at: no
image is removed and no label changed.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.label_errors")

from pathlib import Path
from typing import Any

import numpy as np

from digits.errors import InputError
from pipeline import json_file, params, runtime
from pipeline.classifiers import model_config
from pipeline.datasets import arrays, names
from pipeline.datasets.arrays import LabelledImages
from pipeline.reporting import plots
from pipeline.scoring.label_errors import margins
from pipeline.training.folds import fit, folds

FOLDERS = {"train": arrays.TRAIN, "validation": arrays.VALIDATION, "test": arrays.TEST}
PLOTS, RESULTS = Path("plots/label_errors"), Path("results/label_errors.json")


def predict(
    images: LabelledImages, test: LabelledImages, data: dict[str, Any], settings: params.Params
) -> tuple[np.ndarray, np.ndarray]:
    """Return out-of-sample probabilities (n, classes) of `images`, and of `test` the mean over all fitted models.

    Raises:
        InputError: params.yaml names a model that does not exist.
    """
    name, count = settings.label_errors.model, settings.label_errors.folds
    if name not in settings.models:
        raise InputError(f"params.yaml: label_errors.model: found {name!r}. Allowed: {', '.join(settings.models)}.")
    config, classes = model_config(name, settings).for_dataset(data), len(data["classes"])
    on_images, on_test = np.zeros((len(images), classes)), np.zeros((len(test), classes))
    for rest, held_out in folds(images, count, settings.seed):
        runtime.seed(settings.seed)
        fitted = fit(config, images.at(rest), classes, settings.seed, settings.runtime.threads)
        on_images[held_out] = fitted.predict_proba(images.at(held_out))
        on_test += fitted.predict_proba(test) / count
    return on_images, on_test


def rank(split: str, labels: np.ndarray, probabilities: np.ndarray, top_k: int) -> list[dict[str, Any]]:
    """Return images of a split whose label is less probable than another class, at most `top_k` and the smallest margin
    first: row, label, suggested class, margin.
    """
    scores, suggested = margins(probabilities, labels)
    return [
        {
            "split": split,
            "row": int(row),
            "label": int(labels[row]),
            "suggested": int(suggested[row]),
            "margin": float(scores[row]),
        }
        for row in np.argsort(scores, kind="stable")[:top_k]
        if scores[row] < 0
    ]


def main() -> None:
    """Read data/prepared, write results/label_errors.json and a picture of each split."""
    settings = params.load()
    train, validation, test = map(arrays.load, FOLDERS.values())
    images, count = arrays.joined(train, validation), len(train)
    data = json_file.read(arrays.METADATA)
    classes = plots.drawable(data["classes"])
    on_images, on_test = predict(images, test, data, settings)
    splits = {
        "train": (images.first(count), on_images[:count]),
        "validation": (images.at(np.arange(count, len(images))), on_images[count:]),
        "test": (test, on_test),
    }
    found: list[dict[str, Any]] = []
    for split, (part, probabilities) in splits.items():
        ranked = rank(split, part.labels, probabilities, settings.label_errors.top_k)
        files = names.load(FOLDERS[split])
        if files:
            ranked = [entry | {"file": files[entry["row"]]} for entry in ranked]
        rows = np.array([entry["row"] for entry in ranked], np.intp)
        shown = [Path(files[row]).name for row in rows] if files else list(map(str, rows))
        captions = [
            f"{classes[entry['label']]} or {classes[entry['suggested']]}?  {name}"
            for entry, name in zip(ranked, shown, strict=True)
        ]
        title = f"{split}: probable label errors (label, suggestion, {'file' if files else 'row'})"
        plots.save(plots.gallery(part.images[rows], captions, title, digits=data["digits"]), PLOTS / f"{split}.png")
        found += ranked
    json_file.write(RESULTS, found)
    print(f"{RESULTS}: {len(found)} probable label errors")
