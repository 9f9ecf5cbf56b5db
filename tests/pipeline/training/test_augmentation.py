import pytest
import torch

from pipeline.training.augmentation import augment, flag, restyle
from pipeline.params import Augmentation

NONE = {
    "shift": 0.0,
    "rotation": 0.0,
    "scale": 0.0,
    "shear": 0.0,
    "elastic": 0.0,
    "flags": 0.0,
    "pens": 0.0,
    "copies": 1,
}


def changed(images: torch.Tensor, seed: int = 0, **settings: float) -> torch.Tensor:
    return augment(images, Augmentation(**NONE | settings), torch.Generator().manual_seed(seed))


@pytest.fixture
def blobs() -> torch.Tensor:
    """400 times a bright square of 4x4 pixels, left of the middle."""
    images = torch.zeros(400, 1, 28, 28)
    images[:, :, 12:16, 6:10] = 1
    return images


def centres(images: torch.Tensor) -> torch.Tensor:
    """Return the centre of mass (n, 2) of each image, from the middle: x, y in pixels."""
    places = torch.arange(28) - 13.5
    mass = images[:, 0] / images.sum(dim=(2, 3))[:, :, None]
    return torch.stack([(mass.sum(1) * places).sum(1), (mass.sum(2) * places).sum(1)], dim=1)


def test_nothing_asked_nothing_changed(blobs: torch.Tensor) -> None:
    assert torch.allclose(changed(blobs), blobs, atol=1e-5)


def test_shift_moves_by_up_to_that_many_pixels(blobs: torch.Tensor) -> None:
    moved = centres(changed(blobs, shift=3.0)) - centres(blobs)
    assert moved.abs().max() <= 3.001
    assert moved.max() > 2.7
    assert moved.min() < -2.7


def test_rotation_turns_by_up_to_that_many_degrees(blobs: torch.Tensor) -> None:
    x, y = centres(changed(blobs, rotation=20.0)).T
    assert torch.allclose(torch.hypot(x, y), torch.tensor(6.0), atol=0.1)
    degrees = torch.rad2deg(torch.atan2(y, x) % (2 * torch.pi)) - 180
    assert degrees.abs().max() <= 20.5
    assert degrees.max() > 18
    assert degrees.min() < -18


def test_scale_brings_nearer_and_farther(blobs: torch.Tensor) -> None:
    x, _ = centres(changed(blobs, scale=0.2)).T
    assert -6 * 1.21 < x.min() < -6 * 1.17
    assert -6 * 0.83 < x.max() < -6 * 0.79


def test_elastic_keeps_the_ink_near_its_place(blobs: torch.Tensor) -> None:
    bent = changed(blobs, elastic=0.7)
    moved = centres(bent) - centres(blobs)
    assert 0.2 < moved.std() < 1.2
    assert not torch.allclose(bent[0], bent[1])


def test_same_seed_same_images(blobs: torch.Tensor) -> None:
    settings = {"shift": 2.0, "rotation": 10.0, "scale": 0.1, "shear": 0.1, "elastic": 0.5}
    assert torch.equal(changed(blobs, 1, **settings), changed(blobs, 1, **settings))
    assert not torch.equal(changed(blobs, 1, **settings), changed(blobs, 2, **settings))


def test_flags_are_for_ones_only() -> None:
    torch.manual_seed(0)
    images = torch.zeros(40, 1, 28, 28)
    images[:, :, 4:24, 13:15] = 1
    labels = torch.arange(40) % 10
    flagged = flag(images, labels, 1.0)
    changed = (flagged != images).flatten(1).any(1)
    assert torch.equal(changed, labels == 1)
    for image in flagged[labels == 1]:
        added = (image - images[0])[0] > 0.3
        rows, columns = added.nonzero(as_tuple=True)
        upper = rows < 20  # below is the foot of some
        assert columns[upper].max() <= 15  # to the left of the stroke, from its top downwards
        assert 3 <= rows[upper].min() <= 8
        assert columns[upper].min() < 12
    assert torch.equal(flag(images, labels, 0.0), images)
    some = flag(images[:1].repeat(400, 1, 1, 1), torch.ones(400), 0.25)
    assert 60 < (some != images[:1]).flatten(1).any(1).sum() < 140


def test_other_pens_leave_the_digit_in_place() -> None:
    images = torch.zeros(400, 1, 28, 28)
    images[:, :, 4:24, 12:16] = 1
    styled = restyle(images, torch.Generator().manual_seed(0))
    assert styled.shape == images.shape
    assert (styled >= 0).all()
    assert (styled <= 1).all()
    changed = (styled != images).flatten(1).any(1)
    assert 0.4 < changed.float().mean() < 0.95
    width = (styled[:, 0, 14] > 0.5).sum(1)
    assert {int(value) for value in width.unique()} >= {3, 4, 6}  # thinner, as it was, thicker
    assert (styled[:, :, :2].max() == 0) and (styled[:, :, :, :9].max() == 0)


def test_works_on_an_accelerator() -> None:
    """On torch's device without data, any mixture with tensors of the CPU is an error."""
    images = torch.zeros(8, 1, 28, 28, device="meta")
    assert restyle(augment(images, Augmentation(**NONE | {"shift": 1.0, "elastic": 1.0}))).device.type == "meta"
