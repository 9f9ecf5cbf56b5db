import numpy as np
import pytest

from pipeline import classifiers, cross_validate, params
from pipeline.datasets.arrays import LabelledImages
from tests.conftest import ROOT


def test_summary_by_hand() -> None:
    folds = [
        {"seed": seed, "fold": fold, "accuracy": accuracy, "log_loss": 1 - accuracy}
        for seed, fold, accuracy in ((1, 1, 0.9), (1, 2, 0.8), (2, 1, 0.7), (2, 2, 0.6))
    ]
    assert cross_validate.summary(folds) == {
        "accuracy": 0.75,
        "accuracy_spread": pytest.approx((0.05 / 3) ** 0.5, abs=1e-6),  # squares 0.0225 + 0.0025 + 0.0025 + 0.0225
        "accuracy_spread_of_seeds": pytest.approx(0.02**0.5, abs=1e-6),  # of 0.85 and 0.65
        "log_loss": 0.25,
    }


def test_draws_every_digit_in_proportion(digits: LabelledImages) -> None:
    drawn = cross_validate.draw(digits, 500, seed=1)
    assert np.bincount(drawn.labels) == pytest.approx(np.bincount(digits.labels) * 500 / len(digits), abs=1)
    assert not np.array_equal(drawn.images, cross_validate.draw(digits, 500, seed=2).images)
    assert cross_validate.draw(digits, 5000, seed=1) is digits
    assert cross_validate.draw(digits, len(digits) - 3, seed=1) is digits  # not enough would be left of each digit


def test_scores_only_what_was_left_out(digits: LabelledImages) -> None:
    """With labels by chance nothing can be learned but by heart: an honest score is that of guessing."""
    settings = params.load(ROOT / "params.yaml")
    settings = settings.model_copy(
        update={"cross_validation": params.CrossValidation(folds=2, images=400, seeds=2), "seed": 5}
    )
    chance = np.random.default_rng(0).integers(10, size=len(digits)).astype(np.uint8)
    plan = classifiers.plan("svm", settings.models)
    honest = cross_validate.repeat(plan, "svm", LabelledImages(digits.images, chance), settings)
    assert [(fold["seed"], fold["fold"]) for fold in honest] == [(5, 1), (5, 2), (6, 1), (6, 2)]
    assert max(fold["accuracy"] for fold in honest) < 0.25
    learned = cross_validate.repeat(plan, "svm", digits, settings)
    assert min(fold["accuracy"] for fold in learned) > 0.85
    assert learned == cross_validate.repeat(plan, "svm", digits, settings)
