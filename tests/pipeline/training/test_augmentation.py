import pytest
import torch

from pipeline.params import Augmentation
from pipeline.training.augmentation import augment_batch, perturb_strokes, warp

NONE = {
    "shift": 0.0,
    "rotation": 0.0,
    "scale": 0.0,
    "shear": 0.0,
    "elastic": 0.0,
    "horizontal_flip": 0.0,
    "stroke_digits": 0.0,
    "stroke_style": 0.0,
}


def warped(images: torch.Tensor, seed: int = 0, **policy: float) -> torch.Tensor:
    return warp(images, Augmentation(**NONE | policy), torch.Generator().manual_seed(seed))


@pytest.fixture
def blobs() -> torch.Tensor:
    """Return 400 times a bright square of 4x4 pixels, left of the middle."""
    images = torch.zeros(400, 1, 28, 28)
    images[:, :, 12:16, 6:10] = 1
    return images


def centres(images: torch.Tensor) -> torch.Tensor:
    """Return the centre of mass (n, 2) of each image, from the middle: x, y in pixels."""
    places = torch.arange(28) - 13.5
    mass = images[:, 0] / images.sum(dim=(2, 3))[:, :, None]
    return torch.stack([(mass.sum(1) * places).sum(1), (mass.sum(2) * places).sum(1)], dim=1)


def test_a_policy_of_zeros_changes_nothing(blobs: torch.Tensor) -> None:
    assert torch.allclose(warped(blobs), blobs, atol=1e-5)
    assert torch.allclose(augment_batch(blobs, Augmentation(**NONE)), blobs, atol=1e-5)
    assert Augmentation(**NONE).changes_nothing
    assert not Augmentation(**NONE | {"shear": 0.1}).changes_nothing


def test_a_fraction_of_the_images_is_mirrored(blobs: torch.Tensor) -> None:
    policy = Augmentation(**NONE | {"horizontal_flip": 0.25})
    found = augment_batch(blobs, policy, torch.Generator().manual_seed(0))
    right = centres(found)[:, 0] > 0
    assert 70 < right.sum() < 130
    assert torch.allclose(found, torch.where(right[:, None, None, None], blobs.flip(3), blobs), atol=1e-5)


def test_shift_moves_by_up_to_the_given_pixels(blobs: torch.Tensor) -> None:
    moved = centres(warped(blobs, shift=3.0)) - centres(blobs)
    assert moved.abs().max() <= 3.001
    assert moved.max() > 2.7
    assert moved.min() < -2.7


def test_rotation_turns_by_up_to_the_given_degrees(blobs: torch.Tensor) -> None:
    x, y = centres(warped(blobs, rotation=20.0)).T
    assert torch.allclose(torch.hypot(x, y), torch.tensor(6.0), atol=0.1)
    degrees = torch.rad2deg(torch.atan2(y, x) % (2 * torch.pi)) - 180
    assert degrees.abs().max() <= 20.5
    assert degrees.max() > 18
    assert degrees.min() < -18


def test_scale_is_within_the_given_factors(blobs: torch.Tensor) -> None:
    x, _ = centres(warped(blobs, scale=0.2)).T
    assert -6 * 1.21 < x.min() < -6 * 1.17
    assert -6 * 0.83 < x.max() < -6 * 0.79


def test_elastic_displacement_keeps_the_ink_near_its_place(blobs: torch.Tensor) -> None:
    bent = warped(blobs, elastic=0.7)
    moved = centres(bent) - centres(blobs)
    assert 0.2 < moved.std() < 1.2
    assert not torch.allclose(bent[0], bent[1])


def test_warping_depends_on_the_seed_only(blobs: torch.Tensor) -> None:
    policy = {"shift": 2.0, "rotation": 10.0, "scale": 0.1, "shear": 0.1, "elastic": 0.5}
    assert torch.equal(warped(blobs, 1, **policy), warped(blobs, 1, **policy))
    assert not torch.equal(warped(blobs, 1, **policy), warped(blobs, 2, **policy))


def test_other_strokes_leave_the_digit_in_place() -> None:
    images = torch.zeros(400, 1, 28, 28)
    images[:, :, 4:24, 12:16] = 1
    styled = perturb_strokes(images, torch.Generator().manual_seed(0))
    assert styled.shape == images.shape
    assert (styled >= 0).all()
    assert (styled <= 1).all()
    changed = (styled != images).flatten(1).any(1)
    assert 0.4 < changed.float().mean() < 0.95
    width = (styled[:, 0, 14] > 0.5).sum(1)
    assert {int(value) for value in width.unique()} >= {3, 4, 6}  # thinner, unchanged, thicker
    assert (styled[:, :, :2].max() == 0) and (styled[:, :, :, :9].max() == 0)


def test_augmentation_keeps_the_device() -> None:
    """Mixing tensors of torch's device without data with tensors of the CPU is an error."""
    images = torch.zeros(8, 1, 28, 28, device="meta")
    policy = Augmentation(**NONE | {"shift": 1.0, "elastic": 1.0})
    assert perturb_strokes(warp(images, policy)).device.type == "meta"


def test_a_batch_is_augmented_in_all_three_ways() -> None:
    torch.manual_seed(0)
    images = torch.zeros(40, 1, 28, 28)
    images[:, :, 4:24, 12:16] = 1

    def changed(**policy: float) -> torch.Tensor:
        found = augment_batch(images, Augmentation(**NONE | policy))
        return (found - images).abs().flatten(1).amax(1) > 1e-3

    assert changed(shift=2.0).all()
    styled = changed(stroke_style=0.5)
    assert styled[:20].any()
    assert not styled[20:].any()
