import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline import explore, json_file
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages


def test_nearest_neighbours_in_the_embedding_are_the_same_digit(digits: LabelledImages) -> None:
    points = explore.embed(digits.images[:300], seed=0)
    assert points.shape == (300, 2)
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = digits.labels[:300][distances.argmin(axis=1)]
    assert (nearest == digits.labels[:300]).mean() > 0.85


def test_statistics_of_duplicated_images(digits: LabelledImages) -> None:
    twice = LabelledImages(np.repeat(digits.images[:50], 2, axis=0), np.repeat(digits.labels[:50], 2))
    found = explore.describe(twice, {"title": "t", "digits": True})
    assert found["title"] == "t"
    assert found["identical_images"] == 50
    assert found["background_fraction"] == round(float((twice.images == 0).mean()), 4)
    assert len(found["ink_fraction_per_digit"]) == 10


def test_statistics_of_other_images_have_nothing_about_ink() -> None:
    images = LabelledImages(np.zeros((4, 40, 24, 3), np.uint8), np.zeros(4, np.uint8))
    assert explore.describe(images, {"digits": False}) == {"digits": False, "identical_images": 3}


@pytest.mark.parametrize("size", [(40, 24, 3), (64, 64, 3), (5, 90), (3, 2)])
def test_images_of_any_size_are_embedded(size: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, *size), np.uint8)
    images[20:] //= 8
    points = explore.embed(images, seed=0)
    assert points.shape == (40, 2)
    assert np.isfinite(points).all()


@pytest.mark.parametrize(("digits", "size", "classes"), [(True, (28, 28), 10), (False, (12, 9, 3), 3)])
def test_stage_draws_and_describes_any_dataset(
    digits: bool, size: tuple[int, ...], classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy("params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    labels = np.arange(60, dtype=np.uint8) % classes
    images = np.random.default_rng(0).integers(0, 256, (60, *size), np.uint8)
    LabelledImages(images, labels).save(arrays.TRAIN)
    metadata = {
        "classes": [f"class {n}" for n in range(classes)],
        "digits": digits,
        "images_per_class": {split: np.bincount(labels).tolist() for split in ("train", "validation", "test")},
    }
    json_file.write(arrays.METADATA, metadata)
    explore.main()
    assert sorted(path.stem for path in explore.FOLDER.glob("*.png")) == [
        *("class_balance", "embedding", "mean_and_std", "pixel_values", "samples")
    ]
    found = json_file.read(explore.STATISTICS)
    assert found.items() >= metadata.items()
    assert ("ink_fraction_per_digit" in found) == digits
