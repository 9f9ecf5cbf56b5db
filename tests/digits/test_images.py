import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digits import images
from digits.errors import InputError
from digits.images import decode, load_image, load_picture
from digits.model import Classifier
from digits.recognise import read
from tests.digits.conftest import ROOT, draw_text

PEAK = """
import sys
from pathlib import Path
from digits.images import load_picture
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
load_picture(sys.argv[1])
print((peak() - before) // 1024)
"""


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_images_of_more_than_eight_bits_are_rescaled(tmp_path: Path, kind: type) -> None:
    values = np.full((60, 60), 60_000, kind)
    values[20:40, 25:30] = 9_000
    Image.fromarray(values).save(tmp_path / "deep.tiff")
    found = load_image(tmp_path / "deep.tiff")
    assert found.shape == (60, 60)
    assert (found[20:40, 25:30] < 0.1).all()
    assert found[0, 0] > 0.9


def test_exif_orientation_is_applied_and_transparency_is_white(tmp_path: Path) -> None:
    upright = Image.new("L", (60, 100), 255)
    ImageDraw.Draw(upright).rectangle((10, 10, 19, 79), fill=0)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated by 90 degrees clockwise
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    assert np.allclose(load_image(tmp_path / "turned.png"), np.asarray(upright) / 255, atol=0.01)

    clear = Image.new("RGBA", (60, 100), (0, 0, 0, 0))
    ImageDraw.Draw(clear).rectangle((10, 10, 19, 79), fill=(0, 0, 0, 255))
    clear.save(tmp_path / "clear.png")
    assert np.allclose(load_image(tmp_path / "clear.png"), np.asarray(upright) / 255, atol=0.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file"),
        (b"seven", "expected an image (PNG, JPEG, WEBP, BMP, GIF, TIFF), found something else"),
        (None, "no such file"),
        ("folder", "expected an image file, found a directory"),
        ("cut", "found a broken one"),
        ("exif", "found a broken one"),
        ("below", "Not a directory"),
        ("long", "File name too long"),
    ],
)
def test_an_error_names_the_file_and_the_reason(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "digit.png"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content == "cut":
        Image.effect_noise((100, 100), 50).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif content == "exif":
        Image.new("L", (28, 28), 255).save(path, exif=b"Exif\0\0II*\0")
    elif content == "below":
        path.touch()
        path /= "digit.png"
    elif content == "long":
        path = tmp_path / ("digit" * 100)
    with pytest.raises(InputError) as caught:
        load_image(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pictures of 200x200 pixels or more be large ones, which are shrunk and converted in several bands."""
    monkeypatch.setattr(images, "FULL_SIZE", 10_000)
    monkeypatch.setattr(images, "BAND", 5_000)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which Linux has")
@pytest.mark.parametrize(
    ("mode", "suffix", "bytes_per_pixel"),
    [("RGB", "png", 4), ("RGBA", "png", 4), ("I;16", "png", 2), ("RGB", "jpg", 0), ("P", "gif", 1), ("RGB", "bmp", 4)],
)
def test_memory_is_that_of_one_decoded_picture(tmp_path: Path, mode: str, suffix: str, bytes_per_pixel: int) -> None:
    side = 5_000
    path = tmp_path / f"large.{suffix}"
    options = {"compress_level": 1} if suffix == "png" else {}
    Image.new(mode, (side, side)).save(path, **options)
    command = [sys.executable, "-c", PEAK, str(path)]
    megabytes = int(subprocess.check_output(command, cwd=ROOT, text=True))
    assert megabytes <= bytes_per_pixel * side**2 / 2**20 + 65  # a band and its conversions, and 6 million grey values


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("orientation", [1, 6, 8])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp"])
def test_boxes_in_a_large_picture_are_in_pixels_of_the_file(
    tmp_path: Path, classifier: Classifier, suffix: str, orientation: int
) -> None:
    upright = Image.fromarray((255 * draw_text("27", size=(801, 1203))).astype(np.uint8)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = upright.rotate({1: 0, 6: 90, 8: -90}[orientation], expand=True)
    turned.save(tmp_path / f"large.{suffix}", exif=exif)
    picture = load_picture(tmp_path / f"large.{suffix}")
    assert picture.reduction == 8
    assert picture.size == upright.size == (1203, 801)
    assert picture.grey.shape == (101, 151)
    expected = read(classifier, np.asarray(upright.convert("L"), np.float32) / 255).digits
    found = picture.in_file(read(classifier, picture.grey).digits)
    assert [digit.digit for digit in found] == [digit.digit for digit in expected] == [2, 7]
    for one, other in zip(found, expected, strict=True):
        assert one.box == pytest.approx(other.box, abs=16)
        assert one.box[2] <= 1203
        assert one.box[3] <= 801


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("shape", [(1, 40_001), (40_001, 1), (3, 90_000)])
def test_large_pictures_may_be_narrow(shape: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full(shape, 51, np.uint8)).save(file, "PNG")
    picture = decode(file.getvalue())
    assert picture.reduction > 1
    assert picture.grey.shape == tuple(-(-side // picture.reduction) for side in shape)
    assert np.allclose(picture.grey, 0.2)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F"])
def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (123, 77, 4), np.uint8)
    image = (
        Image.fromarray(values).convert(mode) if mode != "I;16" else Image.fromarray(values[..., 0] * np.uint16(257))
    )
    file = io.BytesIO()
    image.save(file, "TIFF")
    whole = decode(file.getvalue()).grey
    monkeypatch.setattr(images, "BAND", 1_000)
    assert np.array_equal(decode(file.getvalue()).grey, whole)
    if mode == "RGBA":
        alpha = values[..., 3:] / 255
        colours = values[..., :3] * alpha + 255 * (1 - alpha)
        assert np.allclose(whole, colours @ [0.299, 0.587, 0.114] / 255, atol=0.01)


def test_infinite_and_missing_values_are_read_without_a_warning(tmp_path: Path) -> None:
    values = np.zeros((40, 40), np.float32)
    values[0, :3] = np.inf, -np.inf, np.nan
    Image.fromarray(values).save(tmp_path / "infinite.tiff")
    found = load_image(tmp_path / "infinite.tiff")
    assert (found[0, 0], found[0, 1]) == (1, 0)
    assert np.isfinite(found).all()


def test_a_format_that_needs_more_memory_may_have_fewer_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS_OF", {"WEBP": 9_999})
    for kind in ("PNG", "WEBP"):
        file = io.BytesIO()
        Image.new("L", (100, 100), 255).save(file, kind)
        if kind == "PNG":
            assert decode(file.getvalue()).size == (100, 100)
        else:
            with pytest.raises(InputError, match="expected at most 9,999 pixels, found 100x100"):
                decode(file.getvalue())


def test_a_pipe_is_read_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    file = io.BytesIO()
    Image.new("L", (100, 100), 255).save(file, "BMP")
    assert decode(Pipe(file.getvalue())).size == (100, 100)
    monkeypatch.setattr(images, "MAX_BYTES", len(file.getvalue()) - 1)
    with pytest.raises(InputError, match=r"expected at most 11,077 bytes, found more"):
        decode(Pipe(file.getvalue()))
