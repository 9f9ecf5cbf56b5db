import shutil
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from digits import checksums
from digits.errors import InputError
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages, Rows, Shape


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


def test_a_shape_counts_all_channels() -> None:
    assert Shape(3, 6, 5).pixels == 90
    assert LabelledImages(np.zeros((2, 6, 5, 3), np.uint8), np.zeros(2, np.uint8)).shape == (3, 6, 5)
    assert LabelledImages(np.zeros((2, 6, 5), np.uint8), np.zeros(2, np.uint8)).shape == (1, 6, 5)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ((4, 6), (4,)),
        ((4, 6, 5, 1), (4,)),
        ((4, 6, 5, 2), (4,)),
        ((4, 6, 5, 4), (4,)),
        ((4, 6, 5, 3, 3), (4,)),
        ((4, 6, 5), ()),
        ((4, 6, 5), (4, 1)),
    ],
)
def test_other_shapes_are_refused(images: tuple[int, ...], labels: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected images \(n, height, width\) or \(n, height, width, 3\)"):
        LabelledImages(np.zeros(images, np.uint8), np.zeros(labels, np.uint8))


@pytest.mark.parametrize("count", [3, 5])
def test_as_many_labels_as_images_are_expected(count: int) -> None:
    with pytest.raises(InputError, match=f"expected as many images as labels, found 4 and {count}"):
        LabelledImages(np.zeros((4, 6, 5), np.uint8), np.zeros(count, np.uint8))


@pytest.mark.parametrize(("images", "labels"), [("bool", "uint8"), ("float32", "uint8"), ("uint8", "int64")])
def test_other_dtypes_are_refused(images: str, labels: str) -> None:
    with pytest.raises(InputError, match=f"expected images uint8 and labels uint8 or uint16, found {images}, {labels}"):
        LabelledImages(np.zeros((4, 6, 5), images), np.zeros(4, labels))


def test_labelled_images_cannot_be_replaced() -> None:
    images = LabelledImages(np.zeros((4, 6, 5), np.uint8), np.zeros(4, np.uint8))
    with pytest.raises(FrozenInstanceError):
        images.labels = np.ones(4, np.uint8)


def test_models_take_channels_first_and_scaled() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), np.uint8)
    found = LabelledImages(images, np.zeros(4, np.uint8))
    assert found.channels_first().shape == (4, 3, 6, 5)
    assert found.channels_first()[3, 2, 1, 0] == images[3, 1, 0, 2]
    assert found.scaled().dtype == np.float32
    assert found.scaled()[3, 2, 1, 0] == np.float32(images[3, 1, 0, 2]) / 255


def test_what_there_is_not_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # a folder may exist
        arrays.leave_out("canonicalizer", tmp_path / "a/b", tmp_path / "c")
        assert capsys.readouterr().out == "the dataset is not of handwritten digits: no canonicalizer\n"
    for folder in (tmp_path / "a/b", tmp_path / "c"):
        (file,) = folder.iterdir()
        assert file.read_text() == "The dataset is not of handwritten digits, so there is no canonicalizer.\n"


def test_an_empty_array_is_damaged(tmp_path: Path) -> None:
    arrays.save_unlabelled(np.zeros((2, 6, 5), np.uint8), tmp_path)
    (tmp_path / "images.npy").write_bytes(b"")
    (tmp_path / arrays.SUMS).write_text(f"{checksums.sha256(b'')}  images.npy\n")
    with pytest.raises(InputError, match=r"damaged array \(.*\)\. Delete it"):
        arrays.load_unlabelled(tmp_path)


@pytest.fixture(params=[(6, 5), (6, 5, 3)])
def large(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Return images, and the same saved and loaded as images that are too large for memory."""
    rng = np.random.default_rng(0)
    images = LabelledImages(rng.integers(0, 256, (500, *request.param), np.uint8), rng.integers(0, 3, 500, np.uint8))
    images.save(tmp_path / "images")
    monkeypatch.setattr(arrays, "IN_MEMORY", 5_000)
    loaded = arrays.load(tmp_path / "images")
    assert isinstance(loaded.images, Rows)
    return images, loaded


@pytest.mark.parametrize("key", [3, -1, slice(3, 9), (slice(2, 8), slice(None, None, 2)), np.array([5, 1]), (4, 2)])
def test_rows_are_those_of_the_array(large: tuple[LabelledImages, LabelledImages], key: Any) -> None:
    images, loaded = large
    assert np.array_equal(loaded.images[key], images.images[key])
    assert (loaded.images.shape, loaded.images.dtype) == (images.images.shape, images.images.dtype)


def test_large_images_are_selected_joined_and_saved_unread(
    large: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    images, loaded = large
    negative = LabelledImages(255 - images.images, images.labels)
    joined = arrays.joined(loaded, loaded.at(np.arange(100, 400)), negative)
    expected = np.concatenate([images.images, images.images[100:400], negative.images])
    assert isinstance(joined.images, Rows)
    rows = np.random.default_rng(1).permutation(len(joined))[:900]
    chosen = joined.at(rows)
    assert isinstance(chosen.images, Rows)
    assert np.array_equal(chosen.images, expected[rows])
    assert np.array_equal(chosen.labels, np.concatenate([images.labels, images.labels[100:400], images.labels])[rows])
    assert isinstance(joined.first(10).images, np.ndarray)
    again = arrays.joined(joined, chosen)
    assert np.array_equal(again.images, np.concatenate([expected, expected[rows]]))
    assert np.array_equal(np.concatenate([batch.images for batch in chosen.batches(70)]), expected[rows])
    assert joined.mean_and_std() == LabelledImages(expected, joined.labels).mean_and_std()
    chosen.save(tmp_path / "chosen")
    np.save(tmp_path / "numpy.npy", expected[rows])
    assert (tmp_path / "chosen/images.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()


def test_rows_are_read_as_an_array_of_any_dtype(large: tuple[LabelledImages, LabelledImages]) -> None:
    images, loaded = large
    for dtype in (np.uint8, np.float32):
        found = np.asarray(loaded.images, dtype)
        assert np.array_equal(found, images.images)
        assert found.dtype == dtype
    assert np.asarray(loaded.images).dtype == np.uint8
    assert (loaded.images.ndim, loaded.images.size) == (images.images.ndim, images.images.size)
    assert loaded.images.nbytes == images.images.nbytes
    assert np.array_equal(loaded.images.at(slice(0)), images.images[:0])
    assert np.array_equal(Rows([images.images, images.images[:9]]), np.concatenate([images.images, images.images[:9]]))


@pytest.mark.parametrize("chunk", [1, 100, 1_000])
def test_large_images_are_read_in_pieces(
    chunk: int, large: tuple[LabelledImages, LabelledImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, loaded = large
    monkeypatch.setattr(arrays, "CHUNK", chunk)  # bytes, of which an image has 30 or 90
    assert np.array_equal(loaded.images, images.images)
    sizes = [len(batch) for batch in loaded.batches()]
    assert sum(sizes) == 500
    assert max(sizes) == max(1, chunk // images.shape.pixels)
    assert [len(batch) for batch in loaded.first(3).batches(2)] == ([1, 1, 1] if max(sizes) == 1 else [2, 1])


def test_arrays_of_the_largest_size_for_memory_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = LabelledImages(np.ones((40, 6, 5), np.uint8), np.zeros(40, np.uint8))
    images.save(tmp_path / "images")
    monkeypatch.setattr(arrays, "IN_MEMORY", 20 * 30)
    whole = arrays.load(tmp_path / "images")
    for count in (19, 20, 21):
        some = images.first(count)
        some.save(tmp_path / "some")
        large = count > 20
        assert isinstance(arrays.load(tmp_path / "some").images, Rows) == large
        assert isinstance(whole.first(count).images, Rows) == large
        assert isinstance(arrays.joined(some.first(9), some.at(slice(9, None))).images, Rows) == large
        assert isinstance(arrays.empty(some.images.shape), np.memmap) == large


def test_large_new_arrays_are_written_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(arrays, "IN_MEMORY", 10)
    found = arrays.empty((6, 5))
    found[:] = 7
    assert (found.shape, found.dtype, int(found.sum())) == ((6, 5), np.uint8, 210)
    arrays.release(found)
    assert (found == 7).all()


def test_batches_are_collected_and_saved_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.arange(50 * 30, dtype=np.int64).astype(np.uint8).reshape(50, 6, 5)
    images = LabelledImages(pixels, np.arange(50, dtype=np.uint16))
    for largest in (2**20, 100):
        monkeypatch.setattr(arrays, "IN_MEMORY", largest)
        found = arrays.collected(images.batches(7), pixels.shape)
        assert found.on_disk == (largest == 100)
        arrays.save(tmp_path / "saved", images.batches(7), pixels.shape, np.uint16)
        for same in (found, arrays.load(tmp_path / "saved")):
            assert np.array_equal(same.images[:], pixels)
            assert np.array_equal(same.labels, images.labels)
            assert same.labels.dtype == np.uint16


def test_a_small_disk_is_an_error_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: mock.Mock(free=2_999_999_999))
    with pytest.raises(
        InputError, match=r"expected 3\.0 GB of free disk space, with the copy in DVC's cache, found 3\.0"
    ):
        arrays.save(tmp_path / "new" / "train", iter(()), (1_500_000, 50, 20), np.uint8)
    assert not (tmp_path / "new").exists()
    arrays.check_space(tmp_path / "new", 1_499_999_999)
    assert "1.5 GB on disk, and as much in DVC's cache" in capsys.readouterr().out
    arrays.check_space(tmp_path / "new", 1_000)
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which Linux has")
def test_memory_stays_small_whatever_the_size_of_the_images(tmp_path: Path) -> None:
    count, side = 6_000, 256  # 393 MB
    np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (count, side, side))[::100] = 7
    np.save(tmp_path / "labels.npy", np.zeros(count, np.uint8))
    sums = [f"{checksums.sha256(tmp_path / name)}  {name}\n" for name in arrays.FILES]
    (tmp_path / arrays.SUMS).write_text("".join(sums))
    code = """
import sys
from pathlib import Path
from pipeline.datasets import arrays

def peak():  # in kilobytes; getrusage's may be that of the process that started this one
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

before = peak()
images = arrays.load(Path(sys.argv[1]))
mean, _ = images.mean_and_std()
arrays.joined(images, images).first(9_000).save(Path(sys.argv[1]) / "copy")
print(round(mean * 255, 6), peak() - before, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    mean, kilobytes = done.stderr.split()
    assert float(mean) == 0.07
    assert int(kilobytes) < 150_000
