import gzip
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets.mnist import read_image_file, read_label_file

from digits.errors import InputError
from pipeline.datasets import idx

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


def test_torchvision_reads_the_same_arrays(tmp_path: Path) -> None:
    for name, array, reference in (("images", IMAGES, read_image_file), ("labels", LABELS, read_label_file)):
        idx.write(tmp_path / name, array)
        assert np.array_equal(idx.read(tmp_path / name), array)
        assert np.array_equal(reference(str(tmp_path / name)).numpy(), array)


def test_gzipped_files_are_read(tmp_path: Path) -> None:
    idx.write(tmp_path / "labels", LABELS)
    (tmp_path / "labels.gz").write_bytes(gzip.compress((tmp_path / "labels").read_bytes()))
    assert np.array_equal(idx.read(tmp_path / "labels.gz"), LABELS)


def test_integers_are_read() -> None:
    values = np.array([[1, -2], [3, 2**30]], np.int32)
    header = b"\0\0\x0c\x02" + np.array([2, 2], ">u4").tobytes()
    found = idx.decode(header + values.astype(">i4").tobytes(), "values")
    assert np.array_equal(found, values)


def test_an_array_may_be_empty() -> None:
    found = idx.decode(b"\0\0\x08\x02" + np.array([0, 2], ">u4").tobytes(), "values")
    assert found.shape == (0, 2)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("labels", lambda data: b"\0\0\x09" + data[3:], "expected an IDX file, which begins with 0000, 08 or 0c"),
        ("labels", lambda data: b"\1" + data[1:], "found '01000801'"),
        ("labels", lambda data: b"\0\0\x08\0" + data[4:], "found '00000800'"),
        ("labels", lambda data: b"", "found ''"),
        ("labels", lambda data: data[:3], "found '000008'"),
        ("labels", lambda data: data[:4], "expected 1 dimensions of 4 bytes, found 0 bytes"),
        ("labels", lambda data: data[:7], "expected 1 dimensions of 4 bytes, found 3 bytes"),
        ("labels", lambda data: data[:7] + b"\x06" + data[8:], "expected 6 bytes after the header for dimensions (6,)"),
        ("labels", lambda data: data[:-1], "expected 5 bytes after the header for dimensions (5,), found 4"),
        ("labels", lambda data: data + b"\0", "expected 5 bytes after the header for dimensions (5,), found 6"),
        ("labels", lambda data: b"\0\0\x0c" + data[3:], "expected 20 bytes after the header for dimensions (5,)"),
        ("labels.gz", lambda data: gzip.compress(data)[:-4], "expected a whole gzip file"),
        ("labels.gz", lambda data: data, "expected a whole gzip file"),
        ("labels.gz", lambda data: gzip.compress(data)[:10] + b"\xff" * 9, "expected a whole gzip file"),
    ],
)
def test_damaged_files_are_errors(tmp_path: Path, name: str, damage, message: str) -> None:
    idx.write(tmp_path / "whole", LABELS)
    (tmp_path / name).write_bytes(damage((tmp_path / "whole").read_bytes()))
    with pytest.raises(InputError) as caught:
        idx.read(tmp_path / name)
    assert message in str(caught.value)
    assert name in str(caught.value)


def test_folders_and_missing_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="expected a file, found a directory"):
        idx.read(tmp_path / "folder")
    with pytest.raises(InputError, match="not found"):
        idx.read(tmp_path / "nothing")
