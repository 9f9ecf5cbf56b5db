import pytest
import torch

from pipeline.datasets.arrays import LabelledImages
from pipeline.robustness import random_corruptions
from pipeline.robustness.random_corruptions import FAMILIES, Family, change_width, corrupt_batch, move_batch


@pytest.fixture
def images(digits: LabelledImages) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.from_numpy(digits.first(60).scaled())


@pytest.mark.parametrize("family", [pytest.param(f, id=f.__name__) for f in dict.fromkeys(FAMILIES)])
def test_every_family_changes_most_images_and_leaves_them_legible(images: torch.Tensor, family: Family) -> None:
    before = images.clone()
    found = family(images)
    assert torch.equal(images, before)
    assert found.shape == images.shape
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    clipped = found.clamp(0, 1)
    assert ((clipped - images).abs().mean((1, 2, 3)) > 1e-3).float().mean() > 0.6
    related = torch.stack(
        [torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] for a, b in zip(images, clipped, strict=True)]
    )
    assert related.nan_to_num().abs().median() > 0.2


def test_some_images_stay_as_they_are(images: torch.Tensor) -> None:
    many = images.repeat(10, 1, 1, 1)
    same = (corrupt_batch(many) == many).all(dim=(1, 2, 3)).float().mean()
    assert random_corruptions.UNCHANGED / 2 < same < 0.3


def test_batches_of_any_size_are_in_range(images: torch.Tensor) -> None:
    for count in (1, 2, 7):
        for change in (corrupt_batch, move_batch, change_width):
            found = change(images[:count])
            assert found.shape == (count, 1, 28, 28)
            assert found.min() >= 0
            assert found.max() <= 1


def test_the_same_seed_gives_the_same_images(images: torch.Tensor) -> None:
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(corrupt_batch(move_batch(images)))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_moved_digits_keep_their_ink(images: torch.Tensor) -> None:
    ratio = move_batch(images).sum((1, 2, 3)) / images.sum((1, 2, 3))
    assert 0.3 < ratio.median() < 2
    assert (ratio > 0.1).float().mean() > 0.95
