from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digits.errors import InputError
from digits.images import load_image


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
