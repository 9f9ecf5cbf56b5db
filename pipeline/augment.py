"""Stage `augment`: the training images together with augmented copies of each, for models with
`training_set: augmented`. Networks with `training_set: prepared` augment every batch instead.
"""

from pipeline.runtime import launch

if __name__ == "__main__":
    launch("pipeline.augment")

from pipeline import json_file, params
from pipeline.datasets import arrays
from pipeline.training.augmentation import augment_dataset


def main() -> None:
    """Read data/prepared/train, write data/augmented/train."""
    settings = params.load()
    policy = settings.policy(params.STORED_POLICY, "augmentation").for_dataset(json_file.read(arrays.METADATA))
    train = arrays.load(arrays.TRAIN)
    batches, shape = augment_dataset(train, policy, settings.seed, settings.augment.copies)
    arrays.save(arrays.AUGMENTED, batches, shape, train.labels.dtype)
    print(f"{arrays.AUGMENTED}: {shape[0]:,} images")
