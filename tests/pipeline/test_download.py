"""The stages `download` and `preprocess` together, on small files of each published form and on folders of images."""

import functools
import gzip
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from digits.errors import InputError
from pipeline import download, params, preprocess
from pipeline.datasets import arrays, fetch, loading
from pipeline.datasets.records import RECORDS
from tests.pipeline.datasets import published
from tests.pipeline.datasets.test_folder import picture


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the files of a folder and logs nothing."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """Yield the address of a server of the files in `tmp_path / "published"`."""
    (tmp_path / "published").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "published"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with an empty cache and without retries."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path / "cache")
    monkeypatch.setattr(fetch, "RETRIES", 0)
    for name in ("DATASET_MIRROR", "MNIST_MIRROR"):
        monkeypatch.delenv(name, raising=False)


def use(monkeypatch: pytest.MonkeyPatch, dataset: str, validation: float, **folder: object) -> None:
    """Let the stages read these parameters."""
    settings = SimpleNamespace(
        dataset="".join(dataset),  # another string than the one in the code, as from a file
        seed=1,
        split=SimpleNamespace(validation=validation),
        folder=SimpleNamespace(**folder),
    )
    monkeypatch.setattr(params, "load", lambda: settings)


def publish(monkeypatch: pytest.MonkeyPatch, name: str, folder: Path, mirrors: tuple[str, ...]) -> published.Arrays:
    """Write small files of the dataset `name` to `folder`, and let its record have their checksums and counts."""
    write, classes, sides = published.FORMS[name]
    content = published.arrays(classes, sides)
    write(folder, content)
    record = RECORDS[name]
    files = []
    for file in record.files:
        data = (folder / file.name).read_bytes()
        data = gzip.decompress(data) if file.kind == "SHA-256 of the content" else data
        digest = hashlib.new("md5" if file.kind == "MD5" else "sha256", data)
        files.append(replace(file, checksum=digest.hexdigest()))
    counts = {split: len(labels) for split, (_, labels) in content.items()}
    small = replace(record, files=tuple(files), mirrors=mirrors, **counts)
    monkeypatch.setitem(RECORDS, name, small)
    return content


@pytest.mark.parametrize("name", published.FORMS)
def test_published_files_are_prepared(
    name: str, mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = publish(monkeypatch, name, tmp_path / "published", (mirror,))
    classes = len(RECORDS[name].classes)
    use(monkeypatch, name, validation=0.25)
    download.main()
    preprocess.main()
    found = {split: arrays.load(path) for split, path in preprocess.FOLDERS.items()}
    assert {split: len(part) for split, part in found.items()} == {
        "train": 3 * classes,
        "validation": classes,
        "test": classes,
    }
    assert np.array_equal(found["test"].labels, content["test"][1])
    if content["test"][0].shape[1:] == (28, 28):
        assert np.array_equal(found["test"].images, content["test"][0])
        together = np.concatenate([found["train"].images, found["validation"].images])
        assert sorted(map(bytes, together)) == sorted(map(bytes, content["train"][0]))
    metadata = json.loads(arrays.METADATA.read_text())
    assert metadata["shape"] == list(found["train"].shape) == [1, 28, 28]
    assert len(metadata["classes"]) == classes
    assert metadata["images_per_class"]["train"] == [3] * classes
    assert ("train_thirds" in metadata) == metadata["digits"] == RECORDS[name].digits
    assert f"{len(RECORDS[name].files)} files verified in data" in capsys.readouterr().out


@pytest.mark.parametrize("variable", ["DATASET_MIRROR", "MNIST_MIRROR"])
def test_mirror_of_the_environment_comes_first(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror/kmnist").mkdir(parents=True)
    publish(monkeypatch, "kmnist", tmp_path / "mirror/kmnist", ("http://127.0.0.1:9/",))
    use(monkeypatch, "kmnist", validation=10)
    monkeypatch.setenv(variable, str(tmp_path / "mirror"))
    download.main()
    assert len(list(Path("data/raw").iterdir())) == 4


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "usps"])
def test_files_with_other_checksums_are_refused(
    name: str, mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, name, tmp_path / "published", (mirror,))
    file = RECORDS[name].files[0]
    wrong = replace(file, checksum="0" * len(file.checksum))
    monkeypatch.setitem(RECORDS, name, replace(RECORDS[name], files=(wrong,)))
    use(monkeypatch, name, validation=10)
    with pytest.raises(InputError, match=rf"expected {file.kind} 0+, found {file.checksum}"):
        download.main()
    assert not list(Path("data/raw").iterdir())


def test_bundled_digits_need_no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "digits", validation=240)
    download.main()
    assert [path.name for path in sorted(Path("data/raw").iterdir())] == sorted(f.name for f in RECORDS["digits"].files)
    assert len(loading.decode(RECORDS["digits"], download.RAW, "test")) == 360


def test_splits_in_memory_are_those_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "digits", validation=240)
    for _ in range(2):  # the folder may exist
        download.main()
    preprocess.main()
    record, splits = loading.load(params.load())
    assert record is RECORDS["digits"]
    assert splits.keys() == preprocess.FOLDERS.keys()
    for split, path in preprocess.FOLDERS.items():
        expected = arrays.load(path)
        assert np.array_equal(splits[split].images, expected.images)
        assert np.array_equal(splits[split].labels, expected.labels)


def test_bundled_digits_that_changed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when scikit-learn would publish other digits."""
    other = {role: 255 - array for role, array in RECORDS["digits"].bundled().items()}
    monkeypatch.setitem(RECORDS, "digits", replace(RECORDS["digits"], bundled=lambda: other))
    use(monkeypatch, "digits", validation=240)
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte: expected SHA-256 1192d80f\w+, found"):
        download.main()


def own_images(root: Path, classes: int, of_each: int, sides: tuple[int, int] = (20, 30)) -> None:
    rng = np.random.default_rng(0)
    for name in range(classes):
        for number in range(of_each):
            picture(root / f"class {name}" / f"{number}.png", rng.integers(0, 256, (*sides, 3), np.uint8))


RGB = {
    "title": "Pets",
    "height": 40,
    "width": 24,
    "color": "rgb",
    "test": 0.2,
    "digits": False,
    "warp": 0.5,
    "horizontal_flip": True,
}


def test_a_folder_of_images_is_prepared(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    own_images(Path("data/own"), 3, 10)
    use(monkeypatch, "folder", 0.25, **RGB)
    download.main()
    preprocess.main()
    found = {split: arrays.load(path) for split, path in preprocess.FOLDERS.items()}
    assert {split: np.bincount(part.labels).tolist() for split, part in found.items()} == {
        "train": [6] * 3,
        "validation": [2] * 3,
        "test": [2] * 3,
    }
    assert found["train"].images.shape == (18, 40, 24, 3)
    metadata = json.loads(arrays.METADATA.read_text())
    assert metadata["title"] == "Pets, 30 images of 24x40 pixels"
    assert metadata["classes"] == ["class 0", "class 1", "class 2"]
    assert metadata["shape"] == [3, 40, 24]
    assert metadata["files"].keys() == {"train/images.npy", "train/labels.npy"}
    assert "Pets, 30 images of 24x40 pixels: 2 files verified in data" in capsys.readouterr().out


def test_the_test_folder_is_the_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    own_images(Path("data/own/train"), 3, 4)
    own_images(Path("data/own/test"), 3, 5)
    use(monkeypatch, "folder", 3, **RGB | {"color": "grey"})
    download.main()
    preprocess.main()
    assert {split: len(arrays.load(path)) for split, path in preprocess.FOLDERS.items()} == {
        "train": 9,
        "validation": 3,
        "test": 15,
    }
    assert arrays.load(arrays.TEST).shape == (1, 40, 24)


def test_three_hundred_classes_are_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    own_images(Path("data/own"), 300, 3, (2, 2))
    use(monkeypatch, "folder", 300, **RGB | {"height": 2, "width": 2, "test": 1 / 3})
    download.main()
    preprocess.main()
    for path in preprocess.FOLDERS.values():
        labels = arrays.load(path).labels
        assert labels.dtype == np.uint16
        assert sorted(labels) == list(range(300))


def test_a_class_with_too_few_images_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    own_images(Path("data/own"), 3, 10)
    for number in range(1, 10):
        Path(f"data/own/class 1/{number}.png").unlink()
    use(monkeypatch, "folder", 0.25, **RGB)
    download.main()
    with pytest.raises(InputError, match=r"folder\.test: expected at least 2 images of each class .* of 'class 1'"):
        preprocess.main()


def test_a_test_folder_without_a_class_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    own_images(Path("data/own/train"), 3, 4)
    own_images(Path("data/own/test"), 2, 4)
    use(monkeypatch, "folder", 3, **RGB)
    download.main()
    with pytest.raises(InputError, match="expected test images of every class, found none of 'class 2'"):
        preprocess.main()


def test_arrays_of_a_folder_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    own_images(Path("data/own"), 3, 10)
    use(monkeypatch, "folder", 0.25, **RGB)
    download.main()
    path = Path("data/raw/train/images.npy")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match=r"images\.npy: expected SHA-256"):
        preprocess.main()
