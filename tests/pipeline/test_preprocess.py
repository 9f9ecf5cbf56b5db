import hashlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from digits.errors import InputError
from pipeline import preprocess
from pipeline.datasets import arrays, decoders, idx, loading, records, resizing, splits
from pipeline.datasets.arrays import LabelledImages, Shape
from pipeline.datasets.records import File, Record

RNG = np.random.default_rng(0)
NAMES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
ARRAYS = {
    "train_images": RNG.integers(0, 256, (40, 28, 28), np.uint8),
    "train_labels": np.repeat(np.arange(10, dtype=np.uint8), 4),
    "test_images": RNG.integers(0, 256, (10, 28, 28), np.uint8),
    "test_labels": np.arange(10, dtype=np.uint8),
}
SETTINGS = SimpleNamespace(seed=1, split=SimpleNamespace(validation=10), folder=SimpleNamespace(test=0.25))


def publish(raw: Path, content: dict[str, np.ndarray], **changes: object) -> Record:
    """Write `content` to `raw` and return a record with the checksums of these bytes."""
    raw.mkdir(exist_ok=True)
    files = []
    for role, name in NAMES.items():
        name = name.removesuffix(".gz")
        idx.write(raw / name, content[role])
        files.append(File(name, hashlib.sha256((raw / name).read_bytes()).hexdigest()))
    record = records.get("digits")
    published = Shape(1, *content["train_images"].shape[1:])
    return replace(record, **{"files": tuple(files), "train": 40, "test": 10, "published": published} | changes)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepared() -> dict[str, LabelledImages]:
    return {name: arrays.load(path) for name, path in preprocess.FOLDERS.items()}


def test_published_files_are_decoded(tmp_path: Path) -> None:
    record = publish(tmp_path, ARRAYS)
    train, test = (loading.decode(record, tmp_path, split) for split in ("train", "test"))
    assert np.array_equal(train.images, ARRAYS["train_images"])
    assert np.array_equal(test.labels, ARRAYS["test_labels"])


def test_splits_are_stratified_and_complete(project: Path) -> None:
    preprocess.write_splits(publish(project / "raw", ARRAYS), project / "raw", SETTINGS)
    found = prepared()
    assert {name: np.bincount(part.labels).tolist() for name, part in found.items()} == {
        "train": [3] * 10,
        "validation": [1] * 10,
        "test": [1] * 10,
    }
    assert np.array_equal(found["test"].images, ARRAYS["test_images"])  # in their order
    together = np.concatenate([found["train"].images, found["validation"].images])
    assert {image.tobytes() for image in together} == {image.tobytes() for image in ARRAYS["train_images"]}


def test_the_split_of_mnist_is_the_same_as_ever() -> None:
    """Every release so far divides 60,000 images so: the models in docs and benchmarks were trained on these."""
    labels = np.tile(np.arange(10, dtype=np.uint8), 6_000)
    train, validation = splits.split(labels, np.arange(60_000), 5_000, 42, "split.validation", tuple("0123456789"))
    digest = hashlib.sha256(np.concatenate([train, validation]).astype("<u4").tobytes()).hexdigest()
    assert digest[:16] == "7e74e1379a090241"


def test_test_images_are_set_aside_where_none_are_published(project: Path) -> None:
    record = publish(project / "raw", ARRAYS, test=0)
    preprocess.write_splits(record, project / "raw", SETTINGS)
    found = prepared()
    assert {name: len(part) for name, part in found.items()} == {"train": 20, "validation": 10, "test": 10}
    assert all(np.bincount(part.labels).tolist() == [len(part) // 10] * 10 for part in found.values())
    together = np.concatenate([part.images for part in found.values()])
    assert sorted(image.tobytes() for image in together) == sorted(image.tobytes() for image in ARRAYS["train_images"])
    again = found["test"].images.copy()
    preprocess.write_splits(record, project / "raw", SimpleNamespace(**vars(SETTINGS) | {"seed": 2}))
    assert not np.array_equal(prepared()["test"].images, again)


def test_other_bytes_are_refused(project: Path) -> None:
    record = publish(project / "raw", ARRAYS)
    path = project / "raw/train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte: expected SHA-256 \w{64}, found \w{64}\. Delete it"):
        preprocess.write_splits(record, project / "raw", SETTINGS)
    path.unlink()
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte: expected SHA-256 \w{64}, found no such file"):
        preprocess.write_splits(record, project / "raw", SETTINGS)
    assert not (project / "data").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 41}, r"expected train images \(41, 28, 28\) and labels \(41,\) of .*, found images \(40, 28, 28\)"),
        ({"published": Shape(1, 28, 27)}, r"expected train images \(40, 28, 27\)"),
        ({"published": Shape(3, 28, 28)}, r"expected train images \(40, 28, 28, 3\)"),
        ({"classes": tuple("012345678")}, r"expected train labels 0 to 8 of .*, found 9"),
        ({"classes": tuple("0123456789A")}, r"expected train images of every class, found none of 'A'"),
        ({"decode": lambda raw, split: [][0]}, r"expected .* as published, found something else \(list index"),
        ({"decode": partial(decoders.emnist, name="digits")}, r"expected .* as published, found .*gzip\.zip"),
    ],
)
def test_files_other_than_the_record_says_are_refused(changes: dict, message: str, tmp_path: Path) -> None:
    """Files with the right checksums, but a record that is wrong about them."""
    with pytest.raises(InputError, match=message):
        loading.decode(publish(tmp_path, ARRAYS, **changes), tmp_path, "train")


@pytest.mark.parametrize("count", [9, 11])
def test_as_many_labels_as_images_are_expected(count: int, tmp_path: Path) -> None:
    record = publish(tmp_path, ARRAYS | {"test_labels": np.resize(ARRAYS["test_labels"], count)})
    with pytest.raises(InputError, match=rf"test images .* found images \(10, 28, 28\) and labels \({count},\)"):
        loading.decode(record, tmp_path, "test")


def test_only_digits_are_made_like_mnist(tmp_path: Path) -> None:
    small = ARRAYS | {f"{split}_images": ARRAYS[f"{split}_images"][:, :9, :8] for split in ("train", "test")}
    record = publish(tmp_path, small)
    assert loading.decode(record, tmp_path, "test").shape == record.shape == (1, 28, 28)
    assert loading.like_mnist(np.zeros((2, 40, 30), np.uint8)).shape == (2, 28, 28)
    other = replace(record, digits=False)
    assert loading.decode(other, tmp_path, "test").shape == other.shape == (1, 9, 8)
    assert np.array_equal(loading.decode(other, tmp_path, "test").images, small["test_images"])


def test_too_many_validation_images_are_refused(project: Path) -> None:
    settings = SimpleNamespace(**vars(SETTINGS) | {"split": SimpleNamespace(validation=31)})
    with pytest.raises(InputError, match=r"split.validation: found 31, 31 images. Allowed: 10 to 30"):
        preprocess.write_splits(publish(project / "raw", ARRAYS), project / "raw", settings)


def test_resizing_keeps_the_form_and_leaves_28x28_alone() -> None:
    small = np.zeros((2, 8, 8), np.uint8)
    small[:, 2:6, 2:6] = 200
    large = resizing.resize(small)
    assert large.shape == (2, 28, 28)
    assert large.dtype == np.uint8
    assert large[0, 14, 14] == 200
    assert large[0, 0, 0] == 0
    assert resizing.resize(large) is large
    for sides in ((56, 56), (28, 30), (30, 28)):
        assert resizing.resize(np.zeros((2, *sides), np.uint8)).shape == (2, 28, 28)


def test_metadata_describes_the_training_images() -> None:
    train = LabelledImages(ARRAYS["train_images"], ARRAYS["train_labels"])
    few = LabelledImages(ARRAYS["test_images"][:3], ARRAYS["test_labels"][:3])
    metadata = preprocess.describe(records.get("digits"), {"train": train, "validation": few})
    assert metadata["train_pixel_mean"] == pytest.approx((train.images / 255).mean())
    assert metadata["train_pixel_std"] == pytest.approx((train.images / 255).std())
    assert metadata["images_per_class"] == {"train": [4] * 10, "validation": [1] * 3 + [0] * 7}
    assert metadata["shape"] == [1, 28, 28]
    assert metadata["classes"] == list("0123456789")
    assert metadata["digits"] is True
    assert metadata["train_thirds"].keys() == {"stroke_width", "slant", "size"}
    assert json.loads(json.dumps(metadata)) == metadata


def test_metadata_of_other_images_has_no_measurements_of_strokes() -> None:
    train = LabelledImages(ARRAYS["train_images"], ARRAYS["train_labels"])
    metadata = preprocess.describe(records.get("fashion_mnist"), {"train": train})
    assert metadata["digits"] is False
    assert "train_thirds" not in metadata
    assert metadata["classes"][0] == "T-shirt/top"
    assert all(text.endswith("(SHA-256 of the content)") for text in metadata["files"].values())


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
