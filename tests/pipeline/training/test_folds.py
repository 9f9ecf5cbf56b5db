import numpy as np
import pytest

from pipeline.datasets.arrays import LabelledImages
from digits.errors import InputError
from pipeline.training import Run
from pipeline.training.folds import folds, learn


def test_every_image_is_left_out_once_and_never_learned_from_then(digits: LabelledImages) -> None:
    images = digits.first(500)
    left_out = []
    for rest, fold in folds(images, 4, seed=1):
        assert not set(rest) & set(fold)
        assert len(rest) + len(fold) == 500
        assert np.bincount(images.labels[fold]).tolist() == pytest.approx(np.bincount(images.labels) / 4, abs=1)
        left_out += fold.tolist()
    assert sorted(left_out) == list(range(500))
    assert [fold.tolist() for _, fold in folds(images, 4, seed=2)] != [fold.tolist() for _, fold in folds(images, 4, 1)]


def test_too_few_images(digits: LabelledImages) -> None:
    with pytest.raises(InputError, match="expected at least 5 images of every digit for 5 folds, found 4"):
        next(folds(digits.at(np.argsort(digits.labels, kind="stable")[[*range(4), *range(150, 1437)]]), 5, seed=1))


@pytest.mark.parametrize("examples", ["prepared", "augmented"])
def test_what_a_model_is_given(digits: LabelledImages, run_of, examples: str) -> None:
    given: list[Run] = []
    settings = run_of().settings.model_copy(update={"seed": 7})
    images = digits.first(600)
    assert learn(lambda run: given.append(run), "model", examples, images, settings) is None
    (run,) = given
    assert run.settings.seed == 7
    assert len(run.validation) == 50
    assert len(run.train) == (550 if examples == "prepared" else 550 * (1 + settings.augmentation.copies))
    seen = {image.tobytes() for image in run.train.images} | {image.tobytes() for image in run.validation.images}
    assert {image.tobytes() for image in images.images} <= seen
    assert not {image.tobytes() for image in run.train.images} & {image.tobytes() for image in run.validation.images}
    assert not run.curves.exists()
    learn(lambda run: given.append(run), "model", examples, images, settings.model_copy(update={"seed": 8}))
    assert not np.array_equal(given[0].validation.labels, given[1].validation.labels)
