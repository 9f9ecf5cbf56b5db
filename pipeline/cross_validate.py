"""Stage `cross_validate`: how well one model learns from other images, by other chance:
`python -m pipeline.cross_validate cnn`.

The train and validation images are divided into folds; a model learns from all folds but one and reads that one, and so
in turn for each. All of it is repeated with other seeds, each of which changes everything that is left to chance: which
images are drawn, how they are divided, the first weights, the order and the augmentation. The test images have no part
in it. Source: Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks (2021).
"""

import json
import statistics
import sys
from pathlib import Path

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import numpy as np
import torch
from sklearn.model_selection import train_test_split

from pipeline import classifiers, params, scoring
from pipeline.classifiers import Plan
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.errors import InputError
from pipeline.scoring.rounding import rounded
from pipeline.training.folds import folds, learn

DIGITS = 10
METRICS, FOLDS = Path("metrics/cross_validation"), Path("plots/cross_validation")

Fold = dict[str, float]


def repeat(plan: Plan, name: str, images: LabelledImages, settings: params.Params) -> list[Fold]:
    """Return seed, number, accuracy and log loss of every fold of every repetition."""
    found: list[Fold] = []
    for seed in range(settings.seed, settings.seed + settings.cross_validation.seeds):
        changed = settings.model_copy(update={"seed": seed})
        drawn = draw(images, settings.cross_validation.images, seed)
        for number, (rest, left_out) in enumerate(folds(drawn, settings.cross_validation.folds, seed), 1):
            runtime.seed(seed)
            fitted = learn(plan.train, name, plan.examples, drawn.at(rest), changed)
            fold = drawn.at(left_out)
            scores = scoring.headline(fitted.probabilities(fold), fold.labels)
            found.append({"seed": seed, "fold": number, "accuracy": scores["accuracy"], "log_loss": scores["log_loss"]})
            print(f"{name}: seed {seed}, fold {number}: accuracy {scores['accuracy']:.4f}", flush=True)
    return found


def draw(images: LabelledImages, count: int, seed: int) -> LabelledImages:
    """Return `count` of the images, every digit in proportion, or all if hardly any would be left."""
    if count > len(images) - DIGITS:
        return images
    rows, _ = train_test_split(np.arange(len(images)), train_size=count, stratify=images.labels, random_state=seed)
    return images.at(rows)


def summary(found: list[Fold]) -> dict[str, float]:
    """Return the mean accuracy and log loss of all folds, and the standard deviation of the accuracy: over all folds,
    and over the means of the repetitions.
    """
    accuracies = [fold["accuracy"] for fold in found]
    seeds = sorted({fold["seed"] for fold in found})
    means = [statistics.mean(fold["accuracy"] for fold in found if fold["seed"] == seed) for seed in seeds]
    return {
        "accuracy": rounded(statistics.mean(accuracies)),
        "accuracy_spread": rounded(statistics.stdev(accuracies)),
        "accuracy_spread_of_seeds": rounded(statistics.stdev(means)),
        "log_loss": rounded(statistics.mean(fold["log_loss"] for fold in found)),
    }


def main() -> None:
    """Cross-validate the model named on the command line."""
    if len(sys.argv) != 2:
        raise InputError("expected the name of one model, as in `python -m pipeline.cross_validate cnn`.")
    name, settings = sys.argv[1], params.load()
    plan = classifiers.plan(name, settings.models)
    torch.set_num_threads(settings.runtime.threads)
    images = arrays.joined(arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION))
    found = repeat(plan, name, images, settings)
    scores = summary(found)
    for folder, content in ((METRICS, scores), (FOLDS, found)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    print(f"{name}: accuracy {scores['accuracy']:.4f}, spread of folds {scores['accuracy_spread']:.4f}")


if __name__ == "__main__":
    runtime.run(main)
