import numpy as np
import pytest

from pipeline import cross_validate, params
from pipeline.classifiers import model_config
from pipeline.datasets.arrays import LabelledImages


def test_summary_of_each_size_by_hand() -> None:
    folds = [
        {"images": images, "seed": seed, "fold": fold, "accuracy": accuracy, "log_loss": 1 - accuracy}
        for images, shift in ((400, 0.0), (100, -0.1))
        for seed, fold, accuracy in ((1, 1, 0.9 + shift), (1, 2, 0.8 + shift), (2, 1, 0.7 + shift), (2, 2, 0.6 + shift))
    ]
    small, large = cross_validate.summarise(folds)
    assert large == {
        "images": 400,
        "accuracy": 0.75,
        "accuracy_std": pytest.approx((0.05 / 3) ** 0.5, abs=1e-6),  # squares 0.0225 + 0.0025 + 0.0025 + 0.0225
        "accuracy_std_of_seeds": pytest.approx(0.02**0.5, abs=1e-6),  # of 0.85 and 0.65
        "log_loss": 0.25,
    }
    assert (small["images"], small["accuracy"]) == (100, pytest.approx(0.65))


def test_drawn_images_are_stratified(digits: LabelledImages) -> None:
    drawn = cross_validate.draw(digits, 500, seed=1)
    assert np.bincount(drawn.labels) == pytest.approx(np.bincount(digits.labels) * 500 / len(digits), abs=1)
    assert not np.array_equal(drawn.images, cross_validate.draw(digits, 500, seed=2).images)
    assert cross_validate.draw(digits, 5000, seed=1) is digits
    assert cross_validate.draw(digits, len(digits) - 3, seed=1) is digits  # too few would be left of each digit


def test_only_held_out_images_are_scored(digits: LabelledImages, settings: params.Params) -> None:
    """Random labels can only be memorised: on held-out images the accuracy is that of guessing."""
    how = params.CrossValidation(folds=2, images=[400], seeds=2)
    settings = settings.model_copy(update={"cross_validation": how, "seed": 5})
    random = np.random.default_rng(0).integers(10, size=len(digits)).astype(np.uint8)
    config = model_config("svm", settings)
    guessed = cross_validate.cross_validate(config, LabelledImages(digits.images, random), 10, settings)
    assert [(fold["seed"], fold["fold"]) for fold in guessed] == [(5, 1), (5, 2), (6, 1), (6, 2)]
    assert max(fold["accuracy"] for fold in guessed) < 0.25
    fitted = cross_validate.cross_validate(config, digits, 10, settings)
    assert min(fold["accuracy"] for fold in fitted) > 0.85
    assert fitted == cross_validate.cross_validate(config, digits, 10, settings)
