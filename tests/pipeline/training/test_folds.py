import numpy as np
import pytest

from digits.errors import InputError
from pipeline.classifiers import ModelConfig, model_config
from pipeline.datasets.arrays import LabelledImages
from pipeline.params import Params
from pipeline.training import TrainingContext
from pipeline.training.folds import fit, folds


def test_every_image_is_held_out_once(digits: LabelledImages) -> None:
    images = digits.first(500)
    held_out = []
    for rest, fold in folds(images, 4, seed=1):
        assert not set(rest) & set(fold)
        assert len(rest) + len(fold) == 500
        assert np.bincount(images.labels[fold]).tolist() == pytest.approx(np.bincount(images.labels) / 4, abs=1)
        held_out += fold.tolist()
    assert sorted(held_out) == list(range(500))
    assert [fold.tolist() for _, fold in folds(images, 4, seed=2)] != [fold.tolist() for _, fold in folds(images, 4, 1)]


def test_fewer_images_of_a_digit_than_folds_is_an_error(digits: LabelledImages) -> None:
    with pytest.raises(InputError, match="expected at least 5 images of every class for 5 folds, found 4"):
        next(folds(digits.at(np.argsort(digits.labels, kind="stable")[[*range(4), *range(150, 1437)]]), 5, seed=1))


@pytest.mark.parametrize("training_set", ["prepared", "augmented"])
def test_a_fold_is_fitted_to_what_the_stage_train_would_use(
    digits: LabelledImages, settings: Params, monkeypatch: pytest.MonkeyPatch, training_set: str
) -> None:
    given: list[TrainingContext] = []
    monkeypatch.setattr(ModelConfig, "fit", lambda _, context: given.append(context))
    config = model_config("cnn", settings.with_model("cnn", {"training_set": training_set}))
    images = digits.first(600)
    fit(config, images, 10, 7, 2)
    (context,) = given
    assert (context.name, context.seed, context.threads) == ("cnn", 7, 2)
    assert context.augmentation == (settings.augmentation["standard"] if training_set == "prepared" else None)
    assert len(context.validation) == 50
    fitted = 550 if training_set == "prepared" else 1100
    of_strokes = round(config.policy.stroke_digits * fitted)
    assert of_strokes > 20
    assert len(context.train) == fitted + of_strokes
    seen = {image.tobytes() for image in [*context.train.images, *context.validation.images]}
    assert {image.tobytes() for image in images.images} <= seen
    train = {image.tobytes() for image in context.train.images}
    assert not train & {image.tobytes() for image in context.validation.images}
    assert not context.curves.parent.exists()
    if training_set == "prepared":
        assert (context.mean, context.std) == context.train.first(550).mean_and_std()
    fit(config, images, 10, 8, 2)
    assert not np.array_equal(given[0].validation.labels, given[1].validation.labels)
