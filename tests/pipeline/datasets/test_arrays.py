import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits import checksums
from digits.errors import InputError
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages, Rows


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
    joined = arrays.joined(loaded, loaded.at(np.arange(100, 400)), images)
    expected = np.concatenate([images.images, images.images[100:400], images.images])
    assert isinstance(joined.images, Rows)
    rows = np.random.default_rng(1).permutation(len(joined))[:900]
    chosen = joined.at(rows)
    assert isinstance(chosen.images, Rows)
    assert np.array_equal(chosen.images, expected[rows])
    assert np.array_equal(chosen.labels, np.concatenate([images.labels, images.labels[100:400], images.labels])[rows])
    assert isinstance(joined.first(10).images, np.ndarray)
    assert np.array_equal(np.concatenate([batch.images for batch in chosen.batches(70)]), expected[rows])
    assert joined.mean_and_std() == LabelledImages(expected, joined.labels).mean_and_std()
    chosen.save(tmp_path / "chosen")
    np.save(tmp_path / "numpy.npy", expected[rows])
    assert (tmp_path / "chosen/images.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which Linux has")
def test_memory_stays_small_whatever_the_size_of_the_images(tmp_path: Path) -> None:
    count, side = 6_000, 256  # 393 MB
    np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (count, side, side))[::100] = 7
    np.save(tmp_path / "labels.npy", np.zeros(count, np.uint8))
    sums = [f"{checksums.sha256(tmp_path / name)}  {name}\n" for name in arrays.FILES]
    (tmp_path / arrays.SUMS).write_text("".join(sums))
    code = """
import resource, sys
from pathlib import Path
from pipeline.datasets import arrays
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
images = arrays.load(Path(sys.argv[1]))
mean, _ = images.mean_and_std()
arrays.joined(images, images).first(9_000).save(Path(sys.argv[1]) / "copy")
print(round(mean * 255, 6), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    mean, kilobytes = subprocess.check_output([sys.executable, "-c", code, str(tmp_path)], text=True).split()
    assert float(mean) == 0.07
    assert int(kilobytes) < 250_000
