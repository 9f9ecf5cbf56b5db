"""Stage `augment`: the train images together with changed copies, for models with `examples: augmented`.

Networks need no stored copies: they change every batch anew while they train, with the same settings.
"""

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import numpy as np
import torch
from rich.progress import track

from pipeline import params
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.imaging import augmentation

CHUNK = 5_000  # images changed at a time


def enlarge(train: LabelledImages, settings: params.Augmentation, generator: torch.Generator) -> LabelledImages:
    """Return `train` and `settings.copies` changed copies of it, shuffled."""
    images = [train.images]
    starts = [start for _ in range(settings.copies) for start in range(0, len(train), CHUNK)]
    for start in track(starts, "augment", transient=True):
        originals = torch.from_numpy(train.images[start : start + CHUNK] / np.float32(255))[:, None]
        changed = augmentation.augment(originals, settings, generator)
        images.append((changed[:, 0] * 255).round().to(torch.uint8).numpy())
    order = torch.randperm(len(train) * (settings.copies + 1), generator=generator).numpy()
    labels = np.tile(train.labels, settings.copies + 1)
    return LabelledImages(np.concatenate(images)[order], labels[order])


def main() -> None:
    """Read data/prepared/train, write data/augmented/train."""
    settings = params.load()
    torch.set_num_threads(settings.runtime.threads)
    generator = torch.Generator().manual_seed(settings.seed)
    enlarged = enlarge(arrays.load(arrays.TRAIN), settings.augmentation, generator)
    enlarged.save(arrays.AUGMENTED)
    print(f"{len(enlarged):,} images in {arrays.AUGMENTED}")


if __name__ == "__main__":
    runtime.run(main)
