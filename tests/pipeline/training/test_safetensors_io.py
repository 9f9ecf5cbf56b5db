from pathlib import Path

import torch

from pipeline.training.safetensors_io import SafetensorsIO


def test_gives_back_what_it_was_given(tmp_path: Path) -> None:
    convolution = torch.rand(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    given = {"weights": {"a": convolution, "b": torch.tensor(7)}, "state": {0: [torch.ones(2), (1, "x")]}, "none": None}
    SafetensorsIO().save_checkpoint(given, tmp_path / "folder/last.ckpt")
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
