from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.errors import InputError
from pipeline.imaging import normalise


def drawing(size: tuple[int, int], box: tuple[int, int, int, int], paper: int = 255, ink: int = 0) -> Image.Image:
    image = Image.new("L", size, paper)
    ImageDraw.Draw(image).rectangle(box, fill=ink)
    return image


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255), (200, 90)])
def test_scales_and_centres_in_either_polarity(tmp_path: Path, paper: int, ink: int) -> None:
    drawing((300, 200), (20, 30, 69, 129), paper, ink).save(tmp_path / "1.png")  # 50 x 100 pixels, off centre
    found = normalise.normalise(normalise.read(tmp_path / "1.png"))
    assert found.shape == (28, 28)
    assert found.dtype == np.float32
    rows, columns = np.flatnonzero(found.max(axis=1) > 0.5), np.flatnonzero(found.max(axis=0) > 0.5)
    assert (rows[0], rows[-1]) == (4, 23)  # 20 pixels high
    assert (columns[0], columns[-1]) == (9, 18)
    assert found.max() == pytest.approx(1)


def test_a_picture_of_28_pixels_stays_as_it_is() -> None:
    image = np.zeros((28, 28), np.float32)
    image[2:8, 3:5] = 1
    assert np.array_equal(normalise.normalise(image), image)
    assert np.array_equal(normalise.normalise(1 - image), image)


def test_blank_gives_no_ink() -> None:
    assert not normalise.normalise(np.full((100, 80), 0.7, np.float32)).any()


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_more_than_eight_bits(tmp_path: Path, kind: type) -> None:
    values = np.full((60, 60), 60_000, kind)
    values[20:40, 25:30] = 9_000
    Image.fromarray(values).save(tmp_path / "deep.tiff")
    found = normalise.read(tmp_path / "deep.tiff")
    assert found.shape == (60, 60)
    assert (found[20:40, 25:30] < 0.1).all()
    assert found[0, 0] > 0.9


def test_orientation_and_transparency(tmp_path: Path) -> None:
    upright = drawing((60, 100), (10, 10, 19, 79))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    assert np.allclose(normalise.read(tmp_path / "turned.png"), np.asarray(upright) / 255, atol=0.01)

    clear = Image.new("RGBA", (60, 100), (0, 0, 0, 0))
    ImageDraw.Draw(clear).rectangle((10, 10, 19, 79), fill=(0, 0, 0, 255))
    clear.save(tmp_path / "clear.png")
    assert np.allclose(normalise.read(tmp_path / "clear.png"), np.asarray(upright) / 255, atol=0.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file"),
        (b"seven", "expected an image such as PNG or JPEG, found something else"),
        (None, "no such file"),
        ("folder", "expected an image file, found a directory"),
        ("cut", "found a broken one"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "digit.png"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content == "cut":
        Image.effect_noise((100, 100), 50).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError) as caught:
        normalise.read(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
