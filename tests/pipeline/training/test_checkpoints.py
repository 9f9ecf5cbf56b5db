import numpy as np

from pipeline.training import checkpoints


def test_other_inputs_other_folder() -> None:
    array = np.arange(5)
    folder = checkpoints.folder("cnn", {"lr": 1}, array)
    assert folder == checkpoints.folder("cnn", {"lr": 1}, np.arange(5))
    assert folder != checkpoints.folder("cnn", {"lr": 2}, array)
    assert folder != checkpoints.folder("cnn", {"lr": 1}, array[::-1].copy())
