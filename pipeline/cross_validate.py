"""Stage `cross_validate`: the learning curve of one model, by repeated k-fold cross-validation on few images.

    python -m pipeline.cross_validate cnn

The images are drawn from train and validation and divided into folds. The model is fitted to all folds but one and
evaluated on that one, for each fold in turn. Every repetition has another seed, which changes the images drawn, the
folds, initial weights, order and augmentation. The test images are not read.

Source: Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks (2021).
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.cross_validate")

import statistics
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from pipeline import json_file, params, runtime, scoring
from pipeline.classifiers import ModelConfig, model_config
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.scoring.rounding import rounded
from pipeline.training.folds import fit, folds

RESULTS = Path("results/cross_validation")

Fold = dict[str, float]


def draw(images: LabelledImages, count: int, seed: int) -> LabelledImages:
    """Return `count` of the images, stratified by class, or all of them if there are hardly more."""
    if count > len(images) - (int(images.labels.max()) + 1):
        return images
    rows, _ = train_test_split(np.arange(len(images)), train_size=count, stratify=images.labels, random_state=seed)
    return images.at(rows)


def cross_validate(config: ModelConfig, images: LabelledImages, classes: int, settings: params.Params) -> list[Fold]:
    """Return number of images, seed, fold, accuracy and log loss of every fold of every repetition at every size."""
    how = settings.cross_validation
    found: list[Fold] = []
    for count in sorted({min(count, len(images)) for count in how.images}):
        for seed in range(settings.seed, settings.seed + how.seeds):
            drawn = draw(images, count, seed)
            for number, (rest, held_out) in enumerate(folds(drawn, how.folds, seed), 1):
                runtime.seed(seed)
                fitted = fit(config, drawn.at(rest), classes, seed, settings.runtime.threads)
                fold = drawn.at(held_out)
                scores = scoring.headline(fitted.predict_proba(fold), fold.labels)
                found.append({"images": len(drawn), "seed": seed, "fold": number, **scores})
    return found


def summarise(found: list[Fold]) -> list[dict[str, float]]:
    """Return, for each number of images, mean accuracy and log loss, and the std of the accuracy over all folds and
    over the means of the repetitions.
    """
    rows = []
    for count in sorted({fold["images"] for fold in found}):
        here = [fold for fold in found if fold["images"] == count]
        seeds = sorted({fold["seed"] for fold in here})
        means = [statistics.mean(fold["accuracy"] for fold in here if fold["seed"] == seed) for seed in seeds]
        rows.append(
            {
                "images": count,
                "accuracy": rounded(statistics.mean(fold["accuracy"] for fold in here)),
                "accuracy_std": rounded(statistics.stdev(fold["accuracy"] for fold in here)),
                "accuracy_std_of_seeds": rounded(statistics.stdev(means)),
                "log_loss": rounded(statistics.mean(fold["log_loss"] for fold in here)),
            }
        )
    return rows


def main(model: str) -> None:
    """Read data/prepared, write results/cross_validation/<model>.json."""
    settings = params.load()
    images = arrays.joined(arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION))
    data = json_file.read(arrays.METADATA)
    config = model_config(model, settings).for_dataset(data)
    found = cross_validate(config, images, len(data["classes"]), settings)
    summary = summarise(found)
    json_file.write(RESULTS / f"{model}.json", {"summary": summary, "folds": found})
    for row in summary:
        print(f"{model}: {row['images']:,} images: accuracy {row['accuracy']:.4f} ± {row['accuracy_std']:.4f}")
