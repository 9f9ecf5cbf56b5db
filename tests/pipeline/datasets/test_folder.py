import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from digits.errors import InputError
from pipeline import params, preprocess
from pipeline.datasets import arrays, folder, names, records
from pipeline.datasets.arrays import Shape
from tests.conftest import ROOT

GREY, RGB = Shape(1, 6, 4), Shape(3, 6, 4)
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 4, 3), np.uint8)


def picture(path: Path, pixels: np.ndarray = PIXELS, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def pictures(root: Path, *names: str) -> Path:
    """Save an image under each name in `root`."""
    for name in names:
        picture(root / name)
    return root


def table(root: Path, *lines: str, header: str = "file,label", encoding: str = "utf-8") -> Path:
    (root / "labels.csv").write_text("\n".join((header, *lines)) + "\n", encoding=encoding)
    return root


def listed(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Return what `find` finds, with paths relative to `root`."""
    found = folder.find(root)
    return {split: [(p.relative_to(root).as_posix(), name) for p, name in pairs] for split, pairs in found.items()}


# Finding images


def test_folders_are_classes(tmp_path: Path) -> None:
    pictures(tmp_path, "dog/b.jpg", "dog/a.PNG", "cat/1.webp", "cat/2.bmp", "cat/3.tif", "cat/4.jpeg", "cat/5.tiff")
    assert listed(tmp_path) == {
        "train": [
            *[(f"cat/{name}", "cat") for name in ("1.webp", "2.bmp", "3.tif", "4.jpeg", "5.tiff")],
            *[("dog/a.PNG", "dog"), ("dog/b.jpg", "dog")],
        ]
    }


def test_a_table_may_name_files_in_folders_in_any_order(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "x/b.png", "x/y/c.png")
    expected = {"train": [("a.png", "new york"), ("x/b.png", "a/b"), ("x/y/c.png", "ñandú")]}
    lines = ("x/y/c.png,ñandú", "a.png,new york", r"x\b.png, a/b ")
    assert listed(table(tmp_path, *lines)) == expected
    assert listed(table(tmp_path, *lines, encoding="utf-8-sig")) == expected  # as Excel saves it
    swapped = [",".join(reversed(line.split(","))) for line in lines]
    assert listed(table(tmp_path, "", *swapped, header="label, file")) == expected


def test_train_and_test_folders_are_in_either_form(tmp_path: Path) -> None:
    pictures(tmp_path, "train/cat/1.png", "train/dog/2.png", "test/3.png", "test/4.png")
    table(tmp_path / "test", "3.png,dog", "4.png,cat")
    assert listed(tmp_path) == {
        "train": [("train/cat/1.png", "cat"), ("train/dog/2.png", "dog")],
        "test": [("test/3.png", "dog"), ("test/4.png", "cat")],
    }


def test_files_of_the_system_are_left_alone(tmp_path: Path) -> None:
    pictures(tmp_path, "cat/1.png", "dog/1.png", ".cache/1.png", "cat/._1.png", "__MACOSX/cat/1.png")
    for name in ("README.md", ".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "dog/desktop.ini"):
        (tmp_path / name).write_bytes(b"")
    assert listed(tmp_path) == {"train": [("cat/1.png", "cat"), ("dog/1.png", "dog")]}
    assert len(listed(table(tmp_path, "cat/1.png,a", "dog/1.png,b"))["train"]) == 2


def test_names_are_compared_in_composed_form(tmp_path: Path) -> None:
    """macOS may write é as e and an accent."""
    pictures(tmp_path, "cafe\u0301/1.png", "bar/1.png")
    assert [name for _, name in folder.find(tmp_path)["train"]] == ["bar", "caf\u00e9"]
    pictures(tmp_path / "table", "e\u0301.png", "f.png")
    assert len(listed(table(tmp_path / "table", "\u00e9.png,a", "f.png,b"))["train"]) == 2


def test_classes_are_in_natural_order() -> None:
    names = ["class 10", "Class 2", "b", "class 1", "A", "10", "9", "007", "7", "é", "2b", "2a"]
    assert sorted(names, key=folder.natural) == [
        *("2a", "2b", "007", "7", "9", "10", "A", "b", "class 1", "Class 2", "class 10", "é")
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r"own: expected images in one folder per class, found none\. See data/own/README\.md"),
        (("cat/1.png", "cat/2.png"), "own: expected at least 2 classes, found only 'cat'"),
        (("cat/1.png", "dog/"), "own/dog: expected images of this class, found none. Add some, or delete"),
        (("cat/1.png", "dog/.DS_Store"), "own/dog: expected images of this class, found none"),
        (("cat/1.png", "dog/1.heic"), r"own/dog/1.heic: expected images \(.png, .*\), found another file"),
        (("cat/1.png", "dog/more/1.png"), "own/dog/more: expected images of the class 'dog', found a folder"),
        (("cat/1.png", "dog.png"), "own/dog.png: expected folders named after classes, or labels.csv, found a file"),
        (("train/cat/1.png", "train/dog/1.png"), "own/train/cat: expected images of the class 'train', found a folder"),
        (("train/cat/1.png", "test/cat/1.png", "val/cat/1.png"), "own: .* beside the folders train and test, found 'v"),
        (("train/cat/1.png", "train/dog/1.png", "test/"), "own/test: expected images in one folder per class"),
        (("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"), "own/test: .* found also 'c'"),
    ],
)
def test_other_arrangements_are_errors(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in names:
        if name.endswith(("/", "DS_Store", "heic")):
            (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "own" / name).mkdir() if name.endswith("/") else (tmp_path / "own" / name).touch()
        else:
            picture(tmp_path / "own" / name)
    with pytest.raises(InputError, match=message):
        folder.find(tmp_path / "own")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.png,x\n", r"b\.png: expected a line in .*labels\.csv for this image, found none"),
        ("file,label\na.png,x\nb.png,y\nc.png,y\n", r"labels\.csv: expected files in .*, found no 'c\.png' there"),
        ("file,label\na.png,x\nb.png,y\n../a.png,y\n", r"found no '\.\./a\.png' there"),
        ("file,label\na.png,x\nb.png,y\n./a.png,x\n", r"line 4: expected each file once, found 'a\.png' again"),
        (
            "file,label,kind\na.png,x,1\nb.png,y,1\n",
            "expected the columns file,label in its first line, found 'file,la",
        ),
        ("file;label\na.png;x\nb.png;y\n", "expected the columns file,label in its first line, found 'file;label'"),
        ("a.png,x\nb.png,y\n", "expected the columns file,label in its first line, found 'a.png,x'"),
        ("", "expected the columns file,label in its first line, found ''"),
        ("file,label\na.png,x\nb.png\n", r"line 3: expected a file and a label, found 'b\.png'"),
        ("file,label\na.png,x\nb.png, \n", r"line 3: expected a file and a label, found 'b\.png, '"),
        ("file,label\na.png,x\nb.png,y,z\n", r"line 3: expected a file and a label, found 'b\.png,y,z'"),
        ("file,label\na.png,x\nb.png,x\n", "expected at least 2 classes, found only 'x'"),
        ('file,label\na.png,"x\n', r"labels\.csv: expected CSV in UTF-8, found something else"),
        ("file,label\na.png,\udcff\n", r"labels\.csv: expected CSV in UTF-8, found something else"),
    ],
)
def test_tables_that_do_not_match_the_images_are_errors(text: str, message: str, tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    (tmp_path / "labels.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=message):
        folder.find(tmp_path)


def test_a_file_beside_the_table_that_is_no_image_is_named(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"notes\.txt: expected images \(\.png"):
        folder.find(table(tmp_path, "a.png,x", "b.png,y"))


# Decoding


def test_images_of_the_given_size_are_unchanged(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "a.tif"):
        assert np.array_equal(folder.read_image(picture(tmp_path / name), RGB), PIXELS)
    grey = PIXELS[:, :, 0]
    assert np.array_equal(folder.read_image(picture(tmp_path / "b.png", grey), GREY), grey)
    assert np.array_equal(folder.read_image(tmp_path / "b.png", RGB), np.dstack([grey] * 3))


def test_colours_become_grey_by_their_brightness(tmp_path: Path) -> None:
    found = folder.read_image(picture(tmp_path / "a.png"), GREY)
    assert np.abs(found - PIXELS @ [0.299, 0.587, 0.114]).max() < 1


def test_other_sizes_are_stretched_without_aliasing(tmp_path: Path) -> None:
    checks = (255 * (np.indices((600, 200)).sum(axis=0) % 2)).astype(np.uint8)
    found = folder.read_image(picture(tmp_path / "a.png", checks), GREY)
    assert found.shape == (6, 4)
    assert np.abs(found.astype(int) - 127).max() <= 3
    halves = np.repeat(np.array([[200, 20]], np.uint8), 5, axis=1)
    wide = folder.read_image(picture(tmp_path / "b.png", np.repeat(halves, 2, axis=0)), Shape(1, 8, 4))
    assert wide.shape == (8, 4)
    assert (wide[:, 0] > 180).all()
    assert (wide[:, 3] < 40).all()


def test_large_photographs_give_nearly_what_full_decoding_gives(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(800), np.arange(640)) * 255 // 1440
    picture(tmp_path / "a.jpg", np.dstack([smooth] * 3).astype(np.uint8), quality=95)
    picture(tmp_path / "a.png", np.asarray(Image.open(tmp_path / "a.jpg")))
    for shape in (Shape(1, 20, 16), Shape(3, 20, 16)):
        found, whole = (folder.read_image(tmp_path / f"a.{kind}", shape).astype(int) for kind in ("jpg", "png"))
        assert np.abs(found - whole).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    upright = PIXELS[:, :, 0]
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = picture(tmp_path / "a.png", np.ascontiguousarray(turned), exif=exif)
    assert np.array_equal(folder.read_image(path, GREY), upright)


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    alpha = np.full((6, 4, 1), 255, np.uint8)
    alpha[0] = 0
    for name, pixels, shape in (
        ("rgba.png", np.dstack([PIXELS, alpha]), RGB),
        ("rgba.webp", np.dstack([PIXELS, alpha]), RGB),
        ("la.png", np.dstack([PIXELS[:, :, :1], alpha]), GREY),
    ):
        found = folder.read_image(picture(tmp_path / name, pixels, lossless=True), shape)
        assert (found[0] == 255).all()
        assert np.array_equal(found[1:], PIXELS[1:] if shape is RGB else PIXELS[1:, :, 0])
    palette = Image.fromarray(np.array([[0, 1]] * 2, np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "p.png", transparency=0)
    assert folder.read_image(tmp_path / "p.png", Shape(3, 2, 2))[0].tolist() == [[255] * 3, [40, 50, 60]]


def test_long_photographs_keep_their_detail(tmp_path: Path) -> None:
    """Decoding of large JPEG files at a fraction of their size is for those that are large on both sides."""
    shape = Shape(1, 20, 16)
    for number, sides in enumerate(((64, 2_000), (2_000, 64))):
        noise = RNG.integers(0, 256, sides, np.uint8)
        photograph = picture(tmp_path / f"{number}.jpg", noise)
        whole = picture(tmp_path / f"{number}.png", np.asarray(Image.open(photograph)))
        assert np.array_equal(folder.read_image(photograph, shape), folder.read_image(whole, shape))


def test_modes_of_all_kinds_are_read(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    for mode, name in (("1", "a.png"), ("P", "b.png"), ("CMYK", "c.jpg"), ("L", "d.jpg"), ("YCbCr", "e.tif")):
        image.convert(mode).save(tmp_path / name)
        for shape, size in ((GREY, (6, 4)), (RGB, (6, 4, 3))):
            found = folder.read_image(tmp_path / name, shape)
            assert (found.shape, found.dtype) == (size, np.uint8)


def test_16_bits_are_scaled_by_their_whole_range(tmp_path: Path) -> None:
    values = np.array([[0, 257, 1000], [32_768, 65_534, 65_535]], np.uint16)
    for name in ("a.png", "a.tif"):
        found = folder.read_image(picture(tmp_path / name, values), Shape(1, 2, 3))
        assert found.tolist() == [[0, 1, 4], [128, 255, 255]]
        for row in (0, 1):
            part = folder.read_image(picture(tmp_path / name, values[row : row + 1]), Shape(1, 1, 3))
            assert part.tolist() == found[row : row + 1].tolist()


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        (
            "a.png",
            lambda path: path.write_bytes(b"text"),
            r"a\.png: expected an image \(PNG, .*\), found something else",
        ),
        ("a.png", lambda path: path.write_bytes(b""), r"a\.png: expected an image"),
        ("a.png", lambda path: cut(picture(path)), r"a\.png: expected a valid image, found a broken one"),
        ("a.jpg", lambda path: cut(picture(path)), r"a\.jpg: expected a valid image, found a broken one"),
        ("a.tif", lambda path: picture(path, np.ones((2, 2), np.float32)), "its values are floats; 8 or 16 bits"),
        ("a.tif", lambda path: picture(path, np.full((2, 2), 65_536, np.int32)), "values are 65536 to 65536; 8 or 16"),
        ("a.tif", lambda path: picture(path, np.full((2, 2), -1, np.int32)), "values are -1 to -1; 8 or 16 bits"),
    ],
)
def test_unreadable_images_are_named(name: str, write, message: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError, match=message):
        folder.read_image(tmp_path / name, GREY)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


# Arrays


def written(root: Path, shape: Shape, raw: Path) -> records.Record:
    folder.read(folder.find(root), raw, shape)
    return described(raw, title="Pets")


def described(raw: Path, **values: Any) -> records.Record:
    own = params.load(ROOT / "params.yaml").folder
    return folder.describe(records.get("folder"), raw, own.model_copy(update=values))


def test_images_become_arrays_and_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, count in (("train", 2), ("test", 1)):
        for label, name in enumerate(("class 2", "class 10")):
            for number in range(count):
                picture(tmp_path / "own" / split / name / f"{number}.png", np.full_like(PIXELS, 10 * label + number))
    record = written(tmp_path / "own", RGB, tmp_path / "raw")
    assert not capsys.readouterr().out.strip()  # the progress bar does not stay
    assert record.title == "Pets, 6 images of 4x6 pixels"
    assert (record.train, record.test, record.classes) == (4, 2, ("class 2", "class 10"))
    assert record.shape == record.published == RGB
    assert [file.name for file in record.files] == [
        *("train/images.npy", "train/labels.npy", "test/images.npy", "test/labels.npy")
    ]
    images, labels = record.decode(tmp_path / "raw", "train")
    assert isinstance(images, np.memmap)
    assert images[:, 0, 0, 0].tolist() == [10, 11, 0, 1]  # in the order of the files
    assert labels.tolist() == [1, 1, 0, 0]
    assert record.decode(tmp_path / "raw", "test")[1].tolist() == [1, 0]


def test_bytes_do_not_depend_on_the_order_of_the_folder(tmp_path: Path) -> None:
    names = ("b/2.png", "a/1.png", "b/10.png", "a/3.png")
    for run, order in enumerate((names, names[::-1])):
        for name in order:
            picture(tmp_path / f"{run}" / name, PIXELS * np.uint8(len(name) + int(name[2])))
        written(tmp_path / f"{run}", GREY, tmp_path / f"raw {run}")
    files = sorted(path.relative_to(tmp_path / "raw 0") for path in (tmp_path / "raw 0").rglob("*.*"))
    assert [file.name for file in files] == ["metadata.json", "files.txt", "images.npy", "labels.npy"]
    names = [
        [Path(name).relative_to(tmp_path / str(run)).as_posix() for name in text.splitlines()]
        for run in (0, 1)
        for text in [(tmp_path / f"raw {run}/train/files.txt").read_text()]
    ]
    assert names[0] == names[1] == ["a/1.png", "a/3.png", "b/10.png", "b/2.png"]
    files = [file for file in files if file.suffix != ".txt"]
    assert all((tmp_path / "raw 0" / f).read_bytes() == (tmp_path / "raw 1" / f).read_bytes() for f in files)


@pytest.mark.parametrize("divided", [False, True])
def test_the_file_of_each_image_is_known_in_every_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: params.Params, divided: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test") if divided else ("",):
        for label in range(2):
            for number in range(12):
                value = np.uint8(100 * label + 2 * number + (split == "test"))
                picture(Path("data/own") / split / f"class {label}" / f"{number}.png", np.full_like(PIXELS, value))
    record, raw = written(Path("data/own"), GREY, Path("data/raw")), Path("data/raw")
    changed = {"dataset": "folder", "split": settings.split.model_copy(update={"validation": 0.25})}
    preprocess.write_splits(record, raw, settings.model_copy(update=changed))
    seen = []
    for name, path in preprocess.FOLDERS.items():
        images, files = arrays.load(path), names.load(path)
        assert len(images) == len(files)
        seen += files
        for image, file in zip(images.images, files, strict=True):
            assert Path(file).exists()
            assert np.array_equal(folder.read_image(Path(file), GREY), image)
            assert not divided or (name == "test") == ("/test/" in file)
    assert len(set(seen)) == len(seen) == (48 if divided else 24)
    assert names.load(Path("data")) is None


def test_mixed_sizes_and_modes_are_read_together(tmp_path: Path) -> None:
    picture(tmp_path / "own/a/1.png", PIXELS[:, :, 0])
    picture(tmp_path / "own/a/2.png", np.tile(PIXELS, (3, 2, 1)))
    picture(tmp_path / "own/b/1.jpg")
    picture(tmp_path / "own/b/2.png", np.dstack([PIXELS, PIXELS[:, :, 0]]))
    written(tmp_path / "own", RGB, tmp_path / "raw")
    assert arrays.load(tmp_path / "raw/train").images.shape == (4, 6, 4, 3)


@pytest.mark.parametrize(("classes", "dtype"), [(2, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_more_than_256_classes_have_labels_of_two_bytes(classes: int, dtype: type, tmp_path: Path) -> None:
    pictures(tmp_path / "own", *(f"{name}/1.png" for name in range(classes)))
    record = written(tmp_path / "own", Shape(1, 2, 2), tmp_path / "raw")
    _, labels = record.decode(tmp_path / "raw", "train")
    assert labels.dtype == dtype
    assert record.classes == tuple(map(str, range(classes)))
    assert labels.tolist() == [int(path.parent.name) for path, _ in folder.find(tmp_path / "own")["train"]]


def test_digits_are_ten_classes_of_28x28_grey_pixels(tmp_path: Path) -> None:
    own, raw, mnist = tmp_path / "own", tmp_path / "raw", Shape(1, 28, 28)
    pictures(own, *(f"{digit}/1.png" for digit in range(10)))
    for shape in (mnist._replace(height=27), mnist._replace(channels=3), mnist._replace(width=29)):
        folder.read(folder.find(own), raw, shape)
        with pytest.raises(InputError, match=r"folder\.digits: expected grey images of 28x28 pixels in ten classes"):
            described(raw, digits=True)
    folder.read(folder.find(own), raw, mnist)
    found = described(raw, digits=True, warp=1.0)
    assert found.digits
    assert replace(found, digits=False) == described(raw, warp=1.0)
    last = "9"
    for name in ("nine", "10"):
        (own / last).rename(own / name)
        last = name
        folder.read(folder.find(own), raw, mnist)
        with pytest.raises(InputError, match=rf"1 channels, 28x28 pixels and 10 classes \(0, 1, .*, 8, {name}\)"):
            described(raw, digits=True)
    picture(own / "9/1.png")
    folder.read(folder.find(own), raw, mnist)
    with pytest.raises(InputError, match=r"11 classes \(0, 1, .*, 8, 9\)"):  # the first ten
        described(raw, digits=True)


def test_missing_arrays_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metadata\.json not found\. Run `dvc repro download`"):
        described(tmp_path)


def test_metadata_of_the_arrays_is_readable_json(tmp_path: Path) -> None:
    pictures(tmp_path / "own", "ñ/1.png", "b/1.png")
    written(tmp_path / "own", GREY, tmp_path / "raw")
    assert json.loads((tmp_path / "raw/metadata.json").read_text()) == {
        "classes": ["b", "ñ"],
        "shape": [1, 6, 4],
        "images": {"train": 2},
    }
