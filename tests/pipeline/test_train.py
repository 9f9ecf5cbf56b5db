import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline import train
from pipeline.classifiers import Plan
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.training import Run
from tests.conftest import set_params

pytestmark = pytest.mark.slow


class StopHereError(Exception):
    """Carries a run out of a training that does not take place."""


def checkpoints_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the training of the CNN in `folder` would keep its checkpoints."""

    def capture(_: Plan, run: Run) -> None:
        raise StopHereError(run)

    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train", "cnn"])
        patch.setattr(Plan, "train", capture)
        with pytest.raises(StopHereError) as caught:
            train.main()
    return Path(caught.value.args[0].checkpoints)


def test_a_checkpoint_fits_only_its_own_parameters_data_and_versions(
    own_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = checkpoints_of(own_project, monkeypatch)
    assert checkpoints_of(own_project, monkeypatch) == first
    seen = {first}
    for change in ({"models.cnn.lr": "0.5"}, {"seed": "7"}, {"augmentation.shift": "1.0"}, {"runtime.threads": "1"}):
        set_params(own_project, change)
        seen.add(checkpoints_of(own_project, monkeypatch))
    assert len(seen) == 5
    for folder in (arrays.TRAIN, arrays.VALIDATION):
        found = arrays.load(own_project / folder)
        LabelledImages(np.array(found.images), np.array(found.labels)[::-1]).save(own_project / folder)
        seen.add(checkpoints_of(own_project, monkeypatch))
    assert len(seen) == 7
    monkeypatch.setattr(train.artifact, "versions", lambda: {"torch": "0"})
    seen.add(checkpoints_of(own_project, monkeypatch))
    assert len(seen) == 8
    set_params(own_project, {"models.svm.C": "9.0"})
    assert checkpoints_of(own_project, monkeypatch) in seen
