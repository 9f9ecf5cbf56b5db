"""Stage `augment`: the train images together with changed copies, for models with `examples: augmented`.

Networks need no stored copies: they change every batch anew while they train, with the same settings.
"""

from pipeline import runtime  # first: pins threads and instruction sets

# isort: split
import torch

from pipeline import params
from pipeline.datasets import arrays
from pipeline.imaging.augmentation import enlarge


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
