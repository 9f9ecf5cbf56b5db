import hashlib

import numpy as np
import pytest

from pipeline.robustness.corruptions import CORRUPTIONS, MNIST_C, PUBLISHED, SEVERITIES, corrupt


def corrupted_by(name: str, images: np.ndarray, severity: int, seed: int = 1) -> np.ndarray:
    return corrupt(CORRUPTIONS[name], images, severity, seed)


def blank(count: int) -> np.ndarray:
    return np.zeros((count, 28, 28), np.uint8)


def test_the_suite_has_the_fifteen_corruptions_of_mnist_c_at_published_strength() -> None:
    published = {
        name: corruption.parameters[PUBLISHED - 1]
        for name, corruption in CORRUPTIONS.items()
        if corruption.is_published(PUBLISHED)
    }
    assert published == {
        **{"shot_noise": 3, "impulse_noise": 0.17, "glass_blur": (0.7, 2), "motion_blur": 3, "shear": 0.4},
        **{"scale": 0.7, "rotate": 0.4, "brightness": 0.5, "translate": 3, "stripe": 7, "fog": (3, 1.4)},
        **{"spatter": 0.65, "dotted_line": 1, "zigzag": 1, "canny_edges": 0},
    }
    assert not any(corruption.is_published(1) or corruption.held_out for corruption in CORRUPTIONS.values())
    assert sum(corruption.origin != MNIST_C for corruption in CORRUPTIONS.values()) >= 6


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_severity_changes_more_than_the_one_before(name: str, images: np.ndarray) -> None:
    corrupted = [corrupted_by(name, images, severity) for severity in SEVERITIES]
    assert all(found.shape == images.shape and found.dtype == np.uint8 for found in corrupted)
    if name not in ("fog", "inverted"):  # their severities differ in other ways
        changes = [np.abs(found.astype(float) - images).mean() for found in corrupted]
        assert 0 < changes[0] < changes[1] < changes[2]


def test_the_bytes_are_the_same_on_every_machine(images: np.ndarray) -> None:
    everything = b"".join(
        corrupted_by(name, images, severity, 42).tobytes() for name in CORRUPTIONS for severity in SEVERITIES
    )
    assert hashlib.sha256(everything).hexdigest() == "19b79799af3be59d0f2a4b3a369b6b2ce7d90db2e6b211f166bf704a34f258b3"


def test_random_numbers_depend_on_name_severity_and_seed(images: np.ndarray) -> None:
    noise = corrupted_by("gaussian_noise", images, 1)
    assert np.array_equal(noise, corrupted_by("gaussian_noise", images, 1))
    assert not np.array_equal(noise, corrupted_by("gaussian_noise", images, 1, seed=2))
    flat = np.full_like(images, 128)
    drawn = [corrupted_by("impulse_noise", flat, severity) == 255 for severity in SEVERITIES]
    assert not (drawn[0] <= drawn[1]).all()


def test_corruptions_by_hand(images: np.ndarray) -> None:
    assert np.array_equal(corrupted_by("inverted", images, 1), 255 - images)
    assert np.array_equal(corrupted_by("stripe", images, 3)[:, :, :7], 255 - images[:, :, :7])
    assert np.array_equal(corrupted_by("stripe", images, 3)[:, :, 7:21], images[:, :, 7:21])
    brighter = corrupted_by("brightness", images, 1)
    assert np.abs(brighter - np.minimum(images + 0.3 * 255, 255)).max() <= 0.5
    dot = blank(40)
    dot[:, 14, 14] = 255
    places = {tuple(np.argwhere(image)[0]) for image in corrupted_by("translate", dot, 3)}
    assert places == {(11, 11), (11, 17), (17, 11), (17, 17)}
    assert corrupted_by("missing", blank(1), 3).max() == 0
    frame = corrupted_by("frame", images, 2)
    assert frame[:, :2].min() == frame[:, :, -2:].min() == 255
    assert np.array_equal(frame[:, 2:-2, 2:-2], images[:, 2:-2, 2:-2])


def test_occlusion_covers_a_square() -> None:
    white = np.full((30, 28, 28), 255, np.uint8)
    for image in corrupted_by("occlusion", white, 3):
        rows, columns = np.nonzero(image != 255)
        assert len(rows) in (0, 64)  # none where the square is as bright
        assert len(rows) == 0 or np.ptp(rows) == np.ptp(columns) == 7


@pytest.mark.parametrize("name", ["rotate", "shear", "scale"])
def test_geometry_is_that_of_the_parameters(name: str) -> None:
    stroke = blank(50)
    stroke[:, 5:23, 13:15] = 255
    for severity, parameter in zip(SEVERITIES, CORRUPTIONS[name].parameters, strict=True):
        found = corrupted_by(name, stroke, severity)
        slopes = []
        for image in found:
            rows, columns = np.nonzero(image > 100)
            slopes.append(np.polyfit(rows, columns, 1)[0])
        if name == "scale":
            assert np.ptp(rows) + 1 == pytest.approx(18 * parameter, abs=1.5)
            assert np.abs(slopes).max() < 0.01
        else:
            assert np.abs(slopes) == pytest.approx(np.full(50, np.tan(parameter)), abs=0.06)
            assert 0 < np.mean(np.array(slopes) > 0) < 1, "both directions"


def test_lines_have_the_published_shape() -> None:
    dots, zigzags = corrupted_by("dotted_line", blank(50), 3), corrupted_by("zigzag", blank(50), 3)
    columns = np.arange(28)
    assert dots[:, :, columns % 4 < 2].max() == 0
    assert (dots[:, :, columns % 4 >= 2].max(axis=1) > 150).mean() > 0.9
    assert zigzags[:, :, [0, 1, 25, 26, 27]].max() == 0
    middle = zigzags[[image[3:-3].max(axis=0)[2:25].min() > 100 for image in zigzags]]  # none of it is outside
    heights = middle.argmax(axis=1)[:, 2:25]
    assert len(middle) > 10
    assert np.mean(np.abs(np.diff(heights, axis=1))) == pytest.approx(1, abs=0.15)  # 45 degrees
    assert np.ptp(heights - heights.mean(axis=1, keepdims=True), axis=1).min() >= 3  # four pixels high


def test_canny_edges_are_a_thin_outline() -> None:
    square = blank(1)
    square[:, 8:20, 8:20] = 255
    found = corrupted_by("canny_edges", square, 3)[0]
    assert set(np.unique(found)) == {0, 255}
    assert found[11:17, 11:17].max() == 0
    assert (found[14] > 0).sum() == (found[:, 14] > 0).sum() == 2
    assert corrupted_by("canny_edges", square, 1)[0, 14, 14] == round(0.6 * 255)


def test_motion_blur_smears_to_one_side_and_keeps_the_ink() -> None:
    dot = blank(50)
    dot[:, 14, 14] = 255
    found = corrupted_by("motion_blur", dot, 3).astype(float)
    assert found.sum(axis=(1, 2)) == pytest.approx(np.full(50, 255), rel=0.05)
    rows, columns = np.nonzero(found.sum(axis=0))
    assert columns.max() == 14
    assert np.all(np.abs(rows - 14) <= 14 - columns)


def test_glass_blur_moves_ink_by_a_pixel_a_pass() -> None:
    dot = blank(200)
    dot[:, 14, 14] = 255
    found = corrupted_by("glass_blur", dot, 3).astype(float)
    assert found.sum(axis=(1, 2)) == pytest.approx(np.full(200, 255), rel=0.05)
    assert found[:, 14, 14].std() > 5
    sharp = corrupted_by("gaussian_blur", dot, 1).astype(float)
    assert found.mean(axis=0).max() < sharp.mean(axis=0).max()


def test_strokes_get_thinner_and_thicker() -> None:
    stroke = blank(1)
    stroke[:, 4:24, 12:16] = 255
    for name, widths in (("thin", (2.8, 2.0, 1.4)), ("thick", (5, 6, 7))):
        for severity, width in zip(SEVERITIES, widths, strict=True):
            found = corrupted_by(name, stroke, severity)[0, 14].sum() / 255
            assert found == pytest.approx(width, abs=0.5), (name, severity)


def test_fog_is_as_rough_as_that_of_mnist_c() -> None:
    """The plasma fractal of MNIST-C varies by 0.041 to 0.056 within an image, and by 0.19 to 0.21 between images."""
    black, fog = np.zeros((200, 28, 28)), CORRUPTIONS["fog"]
    for strength, decay in fog.parameters:
        cloud = fog.function(black, (strength, decay), np.random.default_rng(0)) * (1 + strength) / strength
        assert 0.035 < cloud.std(axis=(1, 2)).mean() < 0.07
        assert 0.12 < cloud.mean(axis=(1, 2)).std() < 0.25
