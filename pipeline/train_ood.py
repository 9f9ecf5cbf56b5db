"""Stage `train_ood`: train the OOD detector, which distinguishes digits from outliers, and write it to
models/ood_detector. As in the packaged model, its inputs are canonicalized images.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.train_ood")

from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from pipeline import json_file, params, runtime
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.write import write_onnx
from pipeline.ood import detector
from pipeline.robustness import denoiser
from pipeline.robustness.canonicalize import apply
from pipeline.robustness.random_corruptions import corrupt_batch, move_batch
from pipeline.scoring.rounding import rounded
from pipeline.training import stroke_digits
from pipeline.training.redraw import redraw

CANONICALIZER = Path("models/canonicalizer")
FOLDER = Path("models/ood_detector")
CORRUPTED = 1 / 3  # corrupted digits and outliers to train on, relative to the number of outliers
REDRAWN = 0.3  # digits drawn anew, as the reader sees them, per training image
LEGIBLE = 0.04  # largest mean difference of a restored digit's pixels from the digit before corruption
BATCH = 250  # images corrupted at a time


def corrupt(images: np.ndarray) -> np.ndarray:
    """Return a randomly corrupted copy of `images`, (n, 28, 28) uint8."""
    batches = torch.tensor(images)[:, None].split(BATCH)
    corrupted = torch.cat([corrupt_batch(batch.float() / 255) for batch in batches])
    return (corrupted[:, 0] * 255).round().to(torch.uint8).numpy()


def move(images: np.ndarray) -> np.ndarray:
    """Return a randomly shifted, rotated, scaled and sheared copy of `images`, (n, 28, 28) uint8."""
    moved = torch.cat([move_batch(batch.float() / 255) for batch in torch.tensor(images)[:, None].split(BATCH)])
    return (moved[:, 0] * 255).round().to(torch.uint8).numpy()


def restored(canonicalizer: nn.Module, digits: LabelledImages, count: int) -> LabelledImages:
    """Return at most `count` random digits as the `canonicalizer` restores them after corruption, without those
    that it cannot restore.
    """
    drawn = digits.at(torch.randint(len(digits), (count,)).numpy())
    moved = move(drawn.images)
    clean, found = apply(canonicalizer, moved), apply(canonicalizer, corrupt(moved))
    difference = np.abs(clean.astype(np.float64) - found).mean(axis=(1, 2)) / 255
    return LabelledImages(found, drawn.labels).at(np.flatnonzero(difference <= LEGIBLE))


def main() -> None:
    """Read data/prepared, data/outliers and models/canonicalizer, write models/ood_detector."""
    settings = params.load()
    if not json_file.read(arrays.METADATA)["digits"]:
        arrays.leave_out("OOD detection", FOLDER)
        return
    how = settings.ood.detector
    policy = settings.policy(how.augmentation, "ood.detector.augmentation")
    train, validation = arrays.load(arrays.TRAIN), arrays.load(arrays.VALIDATION)
    drawn = stroke_digits.add(train, policy.stroke_digits, settings.seed)
    train = arrays.joined(drawn, redraw(train, REDRAWN, settings.seed))
    outliers = np.concatenate([arrays.load_unlabelled(arrays.OUTLIERS / part) for part in ("drawn", "modified")])
    outliers = outliers[torch.randperm(len(outliers), generator=torch.Generator().manual_seed(settings.seed)).numpy()]
    other = arrays.load_unlabelled(arrays.OUTLIERS / "validation")
    canonicalizer = denoiser.load(CANONICALIZER)
    torch.set_num_threads(settings.runtime.threads)
    runtime.seed(settings.seed)
    count = round(CORRUPTED * len(outliers))
    all_outliers = apply(canonicalizer, np.concatenate([outliers, corrupt(outliers[:count])]))
    held_out = (apply(canonicalizer, validation.images), apply(canonicalizer, other))
    digits = restored(canonicalizer, train, count)
    fitted = detector.fit(train, digits, all_outliers, held_out, how, policy)
    is_digit = np.repeat([1, 0], [len(part) for part in fitted.digitness])
    auroc = rounded(roc_auc_score(is_digit, np.concatenate(fitted.digitness)))
    written = write_onnx(FOLDER / "detector.onnx", fitted.model)
    json_file.write(FOLDER / "detector.json", {**fitted.metadata, "held_out_auroc": auroc, **written})
    print(f"{FOLDER}: AUROC {auroc:.4f} on {len(validation):,} validation digits and {len(other):,} generated outliers")
