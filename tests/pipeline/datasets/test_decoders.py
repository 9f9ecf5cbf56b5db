"""Small files of each published form give the arrays they were made of."""

from pathlib import Path

import numpy as np
import pytest

from digits.errors import InputError
from pipeline.datasets import decoders, records
from tests.pipeline.datasets import published


@pytest.mark.parametrize("name", published.FORMS)
def test_published_form_is_decoded(name: str, tmp_path: Path) -> None:
    write, classes, sides = published.FORMS[name]
    content = published.arrays(classes, sides)
    write(tmp_path, content)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(file.name for file in records.get(name).files)
    for split, (images, labels) in content.items():
        found = records.get(name).decode(tmp_path, split)
        assert np.array_equal(found[0], images)
        assert np.array_equal(found[1], labels)
        assert found[0].dtype == found[1].dtype == np.uint8


@pytest.mark.parametrize("name", published.FORMS)
def test_record_says_what_the_form_holds(name: str) -> None:
    _, classes, sides = published.FORMS[name]
    assert len(records.get(name).classes) == classes
    assert records.get(name).published == (1, *sides)


def test_torchvision_decodes_the_same(tmp_path: Path) -> None:
    """torchvision leaves EMNIST transposed and its letters at 1, and rounds USPS towards 0."""
    from torchvision.datasets import USPS
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    content = published.arrays(10, (16, 16), binary=True)
    published.usps(tmp_path, content)
    for split in ("train", "test"):
        reference = USPS(tmp_path, train=split == "train")
        images, labels = decoders.usps(tmp_path, split)
        assert np.array_equal(reference.data, images)
        assert reference.targets == labels.tolist()
    labels = np.arange(16, dtype=np.int32).reshape(2, 8) * 70_000
    (tmp_path / "labels").write_bytes(published.idx(labels))
    assert np.array_equal(read_sn3_pascalvincent_tensor(str(tmp_path / "labels")).numpy(), labels)


def test_emnist_is_put_upright(tmp_path: Path) -> None:
    """A vertical line is stored as a horizontal one."""
    images = np.zeros((1, 28, 28), np.uint8)
    images[0, 4:24, 13] = 255
    published.emnist("digits")(tmp_path, {"test": (images, np.array([1], np.uint8))})
    found, _ = decoders.emnist(tmp_path, "test", "digits")
    assert (found[0].max(axis=0) > 0).sum() == 1
    assert found.flags.c_contiguous


def test_other_files_are_errors(tmp_path: Path) -> None:
    published.emnist("digits")(tmp_path, published.arrays(10))
    with pytest.raises(KeyError, match="emnist-letters-train"):
        decoders.emnist(tmp_path, "train", "letters")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"<html>")
    with pytest.raises(InputError, match="expected a whole gzip file"):
        decoders.mnist(tmp_path, "train")
