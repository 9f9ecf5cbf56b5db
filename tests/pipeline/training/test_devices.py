"""Training on several devices, in a copy of this project on scikit-learn's digits."""

import json
from pathlib import Path

import pytest

from pipeline import params
from tests.conftest import call, set_params

pytestmark = pytest.mark.slow


def test_two_processes_train_one_network_within_dvc_repro(own_project: Path) -> None:
    alone = json.loads((own_project / "metrics/cnn.json").read_text())["validation"]["accuracy"]
    found = []
    for _ in range(2):
        set_params(own_project, {"models.cnn.trainer.devices": "2", "models.cnn.epochs": "5"})
        call(own_project, "dvc", "repro", "--force", "--single-item", "train@cnn")
        folder = own_project / "models/classifiers/cnn"
        found.append((folder / "classifier.onnx").read_bytes())
    training = json.loads((folder / "classifier.json").read_text())["training"]
    assert training["processes"] == 2
    whole = params.load(own_project / "params.yaml").models["cnn"]["batch_size"]
    assert training["batch_size_per_process"] * 2 == whole
    assert found[0] == found[1]
    call(own_project, "dvc", "repro", "evaluate@cnn")
    together = json.loads((own_project / "metrics/cnn.json").read_text())["validation"]["accuracy"]
    assert abs(together - alone) < 0.02
    call(own_project, "dvc", "repro", "cross_validate@cnn")
