import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from digits.errors import InputError
from pipeline import preprocess
from pipeline.datasets import arrays, idx, records
from pipeline.datasets.arrays import LabelledImages
from pipeline.datasets.records import File, Record

RNG = np.random.default_rng(0)
ARRAYS = {
    "train_images": RNG.integers(0, 256, (40, 28, 28), np.uint8),
    "train_labels": np.repeat(np.arange(10, dtype=np.uint8), 4),
    "test_images": RNG.integers(0, 256, (10, 28, 28), np.uint8),
    "test_labels": np.arange(10, dtype=np.uint8),
}


def publish(raw: Path, content: dict[str, np.ndarray]) -> Record:
    """Write `content` to `raw` and return a record with the checksums of these bytes."""
    files = {}
    for role, array in content.items():
        idx.write(raw / role, array)
        files[role] = File(role, hashlib.sha256((raw / role).read_bytes()).hexdigest())
    return Record("title", "origin", "licence", (), files, train=40, test=10, shape=(28, 28))


def test_published_files_are_decoded(tmp_path: Path) -> None:
    train, test = preprocess.decode(publish(tmp_path, ARRAYS), tmp_path)
    assert np.array_equal(train.images, ARRAYS["train_images"])
    assert np.array_equal(test.labels, ARRAYS["test_labels"])


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    record = publish(tmp_path, ARRAYS)
    content = bytearray((tmp_path / "train_images").read_bytes())
    content[1000] ^= 1
    (tmp_path / "train_images").write_bytes(content)
    with pytest.raises(InputError, match=r"train_images: expected SHA-256 \w{64}, found \w{64}. Delete it"):
        preprocess.decode(record, tmp_path)


def test_counts_other_than_the_record_s_are_refused(tmp_path: Path) -> None:
    """Files that are as published, but not what the record says of them."""
    record = publish(tmp_path, ARRAYS)
    with pytest.raises(InputError, match=r"expected dimensions \(41, 28, 28\), its header says \(40, 28, 28\)"):
        preprocess.decode(replace(record, train=41), tmp_path)


def test_labels_above_9_are_refused(tmp_path: Path) -> None:
    record = publish(tmp_path, ARRAYS | {"test_labels": np.arange(1, 11, dtype=np.uint8)})
    with pytest.raises(InputError, match="expected labels 0 to 9, found 10"):
        preprocess.decode(record, tmp_path)


def test_split_is_stratified_complete_and_determined_by_the_seed() -> None:
    whole = LabelledImages(ARRAYS["train_images"], ARRAYS["train_labels"])
    train, validation = preprocess.split(whole, 10, seed=1)
    assert np.bincount(validation.labels).tolist() == [1] * 10
    assert np.bincount(train.labels).tolist() == [3] * 10
    together = np.concatenate([train.images, validation.images])
    assert {image.tobytes() for image in together} == {image.tobytes() for image in whole.images}
    again, _ = preprocess.split(whole, 10, seed=1)
    other, _ = preprocess.split(whole, 10, seed=2)
    assert np.array_equal(train.images, again.images)
    assert not np.array_equal(train.images, other.images)
    for count in (9, 31):
        with pytest.raises(InputError, match=r"split.validation: found \d+. Allowed: 10 to 30"):
            preprocess.split(whole, count, seed=1)


def test_images_and_labels_of_other_shapes_or_dtypes_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected images \(39, 28, 28\) for labels \(39,\), found images \(40"):
        LabelledImages(ARRAYS["train_images"], ARRAYS["train_labels"][1:])
    with pytest.raises(InputError, match="expected uint8"):
        LabelledImages(ARRAYS["train_images"], ARRAYS["train_labels"].astype(np.int64))


def test_resizing_keeps_the_form_and_leaves_28x28_alone() -> None:
    small = np.zeros((2, 8, 8), np.uint8)
    small[:, 2:6, 2:6] = 200
    large = preprocess.resize(small)
    assert large.shape == (2, 28, 28)
    assert large.dtype == np.uint8
    assert large[0, 14, 14] == 200
    assert large[0, 0, 0] == 0
    assert preprocess.resize(large) is large


def test_metadata_describes_the_training_images() -> None:
    train = LabelledImages(ARRAYS["train_images"], ARRAYS["train_labels"])
    metadata = preprocess.describe(records.get("digits"), {"train": train})
    assert metadata["train_pixel_mean"] == pytest.approx((train.images / 255).mean())
    assert metadata["train_pixel_std"] == pytest.approx((train.images / 255).std())
    assert metadata["images_per_digit"] == {"train": [4] * 10}
    assert json.loads(json.dumps(metadata)) == metadata


def test_arrays_on_disk_are_memory_mapped_and_verified(tmp_path: Path) -> None:
    train = LabelledImages(ARRAYS["train_images"], ARRAYS["train_labels"])
    train.save(tmp_path)
    found = arrays.load(tmp_path)
    assert isinstance(found.images, np.memmap)
    assert np.array_equal(found.images, train.images)
    assert found.scaled().shape == (40, 1, 28, 28)
    assert found.scaled().dtype == np.float32
    assert found.scaled().max() == 1
    content = bytearray((tmp_path / "labels.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "labels.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"labels.npy: expected SHA-256 \w{64}, found \w{64}. Delete it"):
        arrays.load(tmp_path)
    for text in ("", "no checksums"):
        (tmp_path / "SHA256SUMS").write_text(text)
        with pytest.raises(InputError, match=r"expected SHA-256 None|damaged array"):
            arrays.load(tmp_path)
    train.save(tmp_path)
    (tmp_path / "labels.npy").unlink()
    with pytest.raises(InputError, match=r"labels.npy: expected SHA-256 \w{64}, found no such file"):
        arrays.load(tmp_path)
