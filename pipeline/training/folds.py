"""Learning from some of the images, to read the others: what cross-validation and the search for wrong labels share."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold, train_test_split

from pipeline.datasets.arrays import LabelledImages
from pipeline.errors import InputError
from pipeline.imaging.augmentation import enlarge
from pipeline.params import Params
from pipeline.training import Fitted, Run


def folds(images: LabelledImages, count: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield `count` times (rows to learn from, rows left out), every digit in proportion; each row is left out once.

    Raises:
        InputError: a digit has fewer images than there are folds.
    """
    if (rarest := np.bincount(images.labels, minlength=10).min()) < count:
        raise InputError(f"expected at least {count} images of every digit for {count} folds, found {rarest}.")
    yield from StratifiedKFold(count, shuffle=True, random_state=seed).split(images.images, images.labels)


def learn(
    train: Callable[[Run], Fitted],
    name: str,
    examples: Literal["prepared", "augmented"],
    images: LabelledImages,
    settings: Params,
) -> Fitted:
    """Let the model `name` learn from `images` as the stage `train` would, with all chance from `settings.seed`.

    A twelfth of the images is held out for what the model chooses on validation. Global generators are the caller's to
    seed.

    Args:
        train: `Plan.train` of the model.
        examples: whether it learns from changed copies too.
    """
    held_out = max(len(images) // 12, 10)
    rows = train_test_split(
        np.arange(len(images)), test_size=held_out, stratify=images.labels, random_state=settings.seed
    )
    learned_from, validation = (images.at(part) for part in rows)
    mean, std = learned_from.mean_and_std()
    if examples == "augmented":
        generator = torch.Generator().manual_seed(settings.seed)
        learned_from = enlarge(learned_from, settings.augmentation, generator)
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        scratch = Path(folder)
        return train(
            Run(name, learned_from, validation, mean, std, settings, scratch / "curves", scratch / "checkpoints")
        )
