from pathlib import Path

import numpy as np
import torch

from pipeline.params import Params
from pipeline.training import checkpoints
from pipeline.training.checkpoints import SafetensorsIO


def test_the_folder_depends_on_the_inputs(settings: Params) -> None:
    array = np.arange(5)
    folder = checkpoints.folder("cnn", {"lr": 1}, settings.runtime, array)
    assert folder.parent == checkpoints.FOLDER
    assert folder == checkpoints.folder("cnn", {"lr": 1}, settings.runtime, np.arange(5))
    assert folder != checkpoints.folder("lenet", {"lr": 1}, settings.runtime, array)
    assert folder != checkpoints.folder("cnn", {"lr": 2}, settings.runtime, array)
    assert folder != checkpoints.folder("cnn", {"lr": 1}, settings.runtime, array[::-1].copy())
    assert folder != checkpoints.folder("cnn", {"lr": 1}, settings.runtime.model_copy(update={"threads": 1}), array)


def test_a_restored_checkpoint_equals_the_saved_one(tmp_path: Path) -> None:
    convolution = torch.rand(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    saved = {"weights": {"a": convolution, "b": torch.tensor(7)}, "state": {0: [torch.ones(2), (1, "x")]}, "none": None}
    SafetensorsIO().save_checkpoint(saved, tmp_path / "folder/last.ckpt")
    found = SafetensorsIO().load_checkpoint(tmp_path / "folder/last.ckpt")
    assert torch.equal(found["weights"]["a"], convolution)
    assert found["weights"]["a"].stride() == convolution.stride()
    assert found["weights"]["b"].item() == 7
    assert torch.equal(found["state"][0][0], torch.ones(2))
    assert found["state"][0][1] == (1, "x")
    assert found["none"] is None
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["last.ckpt"]
    SafetensorsIO().remove_checkpoint(tmp_path / "folder/last.ckpt")
    assert not (tmp_path / "folder/last.ckpt").exists()
