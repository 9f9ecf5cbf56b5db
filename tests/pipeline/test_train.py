from pathlib import Path

import numpy as np
import pytest

from digits.errors import InputError
from pipeline import train
from pipeline.classifiers import ModelConfig
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.training import TrainingContext
from tests.conftest import set_params

pytestmark = pytest.mark.slow


class StopHereError(Exception):
    """Carries a training context out of a training that does not take place."""


def checkpoints_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the training of the CNN in `folder` would keep its checkpoints."""

    def capture(_: ModelConfig, context: TrainingContext) -> None:
        raise StopHereError(context)

    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(ModelConfig, "fit", capture)
        with pytest.raises(StopHereError) as caught:
            train.main("cnn")
    return Path(caught.value.args[0].checkpoints)


def test_checkpoints_fit_one_set_of_parameters_data_and_versions(
    own_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = checkpoints_of(own_project, monkeypatch)
    assert checkpoints_of(own_project, monkeypatch) == first
    seen = {first}
    for change in (
        {"models.cnn.lr": "0.5"},
        {"seed": "7"},
        {"augmentation.standard.shift": "1.0"},
        {"runtime.threads": "3"},
    ):
        set_params(own_project, change)
        seen.add(checkpoints_of(own_project, monkeypatch))
    assert len(seen) == 5
    for folder in (arrays.TRAIN, arrays.VALIDATION):
        found = arrays.load(own_project / folder)
        LabelledImages(np.array(found.images), np.array(found.labels)[::-1]).save(own_project / folder)
        seen.add(checkpoints_of(own_project, monkeypatch))
    assert len(seen) == 7
    monkeypatch.setattr(train, "versions", lambda: {"torch": "0"})
    seen.add(checkpoints_of(own_project, monkeypatch))
    assert len(seen) == 8
    set_params(own_project, {"models.svm.C": "9.0", "augmentation.ood.shift": "1.0"})
    assert checkpoints_of(own_project, monkeypatch) in seen


def test_a_model_that_predicts_one_digit_is_refused() -> None:
    labels = np.array([0, 0, 0, 1, 2], np.uint8)
    constant = np.tile(np.eye(10)[0], (5, 1))
    with pytest.raises(InputError, match=r"cnn: expected a validation accuracy above 60.00%.* found 60.00%"):
        train.check_predictions("cnn", constant, labels, 10)
    train.check_predictions("cnn", np.eye(10)[labels], labels, 10)


def test_a_model_with_outputs_for_other_classes_is_refused() -> None:
    labels = np.array([0, 1, 2], np.uint8)
    with pytest.raises(InputError, match=r"cnn: expected outputs for 3 classes, found 10\. No model was written\. Use"):
        train.check_predictions("cnn", np.eye(10)[labels], labels, 3)
