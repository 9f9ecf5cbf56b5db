import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from digits.errors import InputError
from digits.interface import PROBABILITIES
from digits.model import Classifier
from pipeline import json_file, package
from pipeline.datasets.arrays import Shape
from pipeline.onnx_graph.export import to_onnx
from pipeline.onnx_graph.write import write_onnx
from pipeline.training.ensemble import with_probabilities
from tests.conftest import ROOT

SHAPE = Shape(3, 4, 4)
SOURCE, FOLDER = Path("models/classifiers/cnn"), Path("models/cnn")
DATA = {"classes": ["cat", "dog"], "shape": list(SHAPE), "digits": False}


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)


def train(*, refit: bool) -> None:
    """Write what the stage `train` would, with networks of different weights."""
    torch.manual_seed(0)
    files = {"classifier": "classifier.onnx"} | ({"before_refit": "before_refit.onnx"} if refit else {})
    written = {}
    for name, file in files.items():
        network = nn.Sequential(nn.Flatten(), nn.Linear(SHAPE.pixels, 2))
        written[name] = write_onnx(SOURCE / file, to_onnx(with_probabilities(network), PROBABILITIES, SHAPE))
    metadata = {"name": "cnn", "data": DATA, **written.pop("classifier"), **written}
    json_file.write(SOURCE / "classifier.json", metadata)


def test_the_model_before_its_refit_is_packaged_beside_it() -> None:
    images = np.random.default_rng(0).random((5, *SHAPE), np.float32)
    train(refit=True)
    package.main("cnn")
    after, before = Classifier.load(FOLDER), Classifier.load(FOLDER / "before_refit")
    assert not np.allclose(after.infer(images)[0], before.infer(images)[0], atol=0.01)
    assert "before_refit" not in after.metadata
    assert (
        before.metadata["classifier"]["sha256"] == json_file.read(SOURCE / "classifier.json")["before_refit"]["sha256"]
    )
    train(refit=False)
    package.main("cnn")
    assert not (FOLDER / "before_refit").exists()


def test_a_damaged_model_before_its_refit_is_refused() -> None:
    train(refit=True)
    with (SOURCE / "before_refit.onnx").open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match=r"before_refit\.onnx"):
        package.main("cnn")
