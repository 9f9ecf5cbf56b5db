import zipfile
from pathlib import Path

import numpy as np
import pytest

from digits import checksums
from digits.errors import InputError
from pipeline.robustness import mnist_c

LABELS = np.array([7, 2, 1, 0], np.uint8)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two corruptions in the published format."""
    for number, name in enumerate(mnist_c.NAMES[:2]):
        place = tmp_path / "unpacked/mnist_c" / name
        place.mkdir(parents=True)
        np.save(place / "test_images.npy", IMAGES + np.uint8(number))
        np.save(place / "test_labels.npy", LABELS.astype(np.int64))
    return tmp_path / "unpacked"


def test_the_fifteen_corruptions_are_known() -> None:
    assert len(mnist_c.NAMES) == 15
    assert {"glass_blur", "zigzag", "canny_edges"} < set(mnist_c.NAMES)


@pytest.mark.parametrize("inner", ["", "mnist_c"])
def test_unpacked_files_are_loaded_as_they_are(folder: Path, inner: str) -> None:
    root, sha256 = mnist_c.open_files(folder / inner)
    assert sha256 is None, "no checksum of single files is known"
    for number, name in enumerate(mnist_c.NAMES[:2]):
        found = mnist_c.load(root, name, LABELS)
        assert np.array_equal(found.images, IMAGES[..., 0] + np.uint8(number))
        assert np.array_equal(found.labels, LABELS)


@pytest.fixture
def archive(folder: Path) -> Path:
    path = folder.parent / "mnist_c.zip"
    with zipfile.ZipFile(path, "w") as target:
        for file in sorted(folder.rglob("*.npy")):
            target.write(file, file.relative_to(folder))
    return path


def test_the_archive_is_verified_and_read(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"expected SHA-256 af9ee8c6.*Download mnist_c.zip"):
        mnist_c.open_files(archive)
    monkeypatch.setattr(mnist_c, "SHA256", checksums.sha256(archive))
    root, sha256 = mnist_c.open_files(archive)
    assert sha256 == checksums.sha256(archive)
    assert np.array_equal(mnist_c.load(root, mnist_c.NAMES[1], LABELS).images, IMAGES[..., 0] + np.uint8(1))
    with pytest.raises(InputError, match=r"test_images.npy: expected a file, found none"):
        mnist_c.load(root, mnist_c.NAMES[2], LABELS)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_corruptions_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected a folder per corruption .* found none. Download"):
        mnist_c.open_files(tmp_path / name)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("test_images.npy", IMAGES[..., 0], r"images \(4, 28, 28, 1\) uint8, found \(4, 28, 28\) uint8"),
        ("test_images.npy", IMAGES[:3], r"found \(3, 28, 28, 1\) uint8"),
        ("test_images.npy", IMAGES / 255, r"found \(4, 28, 28, 1\) float64"),
        ("test_labels.npy", LABELS[:3], r"labels \(4,\) of an integer type, found \(3,\) uint8"),
        ("test_labels.npy", LABELS / 2, r"found \(4,\) float64"),
        ("test_labels.npy", LABELS[::-1], "the labels of MNIST's test images in their order, found 4 others"),
        ("test_images.npy", np.array([{}]), "expected an array of numbers, found a damaged file"),
        ("test_images.npy", None, "expected a file, found none"),
        ("test_labels.npy", b"\x93NUMPY", "expected an array of numbers, found a damaged file"),
    ],
)
def test_errors_say_what_was_expected_and_found(
    folder: Path, file: str, content: np.ndarray | bytes | None, message: str
) -> None:
    path = folder / "mnist_c" / mnist_c.NAMES[0] / file
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    root, _ = mnist_c.open_files(folder)
    with pytest.raises(InputError, match=message) as error:
        mnist_c.load(root, mnist_c.NAMES[0], LABELS)
    assert mnist_c.NAMES[0] in str(error.value)
    assert "Download mnist_c.zip" in str(error.value)
