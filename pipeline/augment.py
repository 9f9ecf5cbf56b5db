"""Stage `augment`: the training images together with one augmented copy of each, for models with
`training_set: augmented`. Networks with `training_set: prepared` augment every batch instead.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.augment")

import torch

from pipeline import json_file, params
from pipeline.datasets import arrays
from pipeline.training.augmentation import augment_dataset


def main() -> None:
    """Read data/prepared/train, write data/augmented/train."""
    settings = params.load()
    policy = settings.policy(params.STORED_POLICY, "augmentation")
    if not json_file.read(arrays.METADATA)["digits"]:
        policy = policy.without_strokes()
    generator = torch.Generator().manual_seed(settings.seed)
    augmented = augment_dataset(arrays.load(arrays.TRAIN), policy, generator)
    augmented.save(arrays.AUGMENTED)
    print(f"{arrays.AUGMENTED}: {len(augmented):,} images")
