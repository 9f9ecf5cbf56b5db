from pathlib import Path

import numpy as np
import pytest

from digits.errors import InputError
from pipeline.datasets import arrays


def test_images_without_labels_are_saved_and_verified(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    arrays.save_unlabelled(images, tmp_path / "outliers")
    assert np.array_equal(arrays.load_unlabelled(tmp_path / "outliers"), images)
    content = bytearray((tmp_path / "outliers/images.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "outliers/images.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"images\.npy: expected SHA-256"):
        arrays.load_unlabelled(tmp_path / "outliers")
    with pytest.raises(InputError, match=r"not found\. Run `dvc repro` to make it"):
        arrays.load_unlabelled(tmp_path / "nothing")
