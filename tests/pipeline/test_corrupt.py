import numpy as np

from pipeline import corrupt
from pipeline.datasets.arrays import LabelledImages
from pipeline.robustness.corruptions import CORRUPTIONS


def test_clean_images_are_taken_at_equal_distances(digits: LabelledImages) -> None:
    found = corrupt.spread_out(digits, 5)
    assert np.array_equal(found.images, digits.images[[0, 287, 574, 862, 1149]])
    assert np.array_equal(found.labels, digits.labels[[0, 287, 574, 862, 1149]])
    assert len(corrupt.spread_out(digits, 9999)) == len(digits)


def test_severities_are_concatenated_with_their_labels(digits: LabelledImages) -> None:
    clean = digits.first(7)
    found = corrupt.at_all_severities(clean, CORRUPTIONS["inverted"], seed=1)
    assert found.labels.tolist() == 3 * clean.labels.tolist()
    assert np.array_equal(found.images[:7], 255 - clean.images)
    assert found.images[14:].max() <= 128


def test_external_digits_are_all_1797_and_only_resized() -> None:
    found = corrupt.external("digits")
    assert len(found) == 1797
    assert (found.images[:, 0] > 100).any(axis=1).mean() > 0.9, "they reach the edge, as published"
