import csv
import io
import json
import os
import struct
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digits import cli, images
from digits.errors import InputError
from digits.images import Picture, load_image
from digits.model import Classifier
from digits.recognise import recognise_digits
from digits.show import draw_results, occlusion_sensitivity
from tests.digits.conftest import ROOT, draw_text


def digits(*options: str, content: bytes | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command in the repository."""
    command = [sys.executable, "-m", "digits.cli", *options]
    done = subprocess.run(command, cwd=ROOT, input=content, capture_output=True, check=False)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a 3, a row of digits, blank paper and three files that are not pictures."""
    for name, text in (("three.png", "3"), ("sub/row.jpg", "27"), ("blank.png", "")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray((255 * draw_text(text, size=(200, 300))).astype(np.uint8)).save(tmp_path / name)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("seven")
    (tmp_path / "notes.txt").write_text("not looked at")
    return tmp_path


def test_unreadable_files_do_not_stop_the_others(folder: Path) -> None:
    bad = str(folder / "text.png"), "missing.png", "README.md/missing.png"
    found = digits(*bad[1:], str(folder / "three.png"), bad[0])
    assert found.returncode == 1
    assert found.stdout.count("error: ") == 3
    assert f"{folder / 'three.png'}: 3  " in found.stdout
    assert found.stderr == ""


def test_a_folder_gives_one_json_entry_per_picture(folder: Path) -> None:
    done = digits("--json", str(folder))
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 2
    found = {Path(entry["file"]).name: entry for entry in json.loads(done.stdout)}
    assert list(found) == ["blank.png", "empty.png", "row.jpg", "text.png", "three.png"]
    assert {name: entry["text"] for name, entry in found.items() if not entry["error"]} == {
        "blank.png": "",
        "row.jpg": "27",
        "three.png": "3",
    }
    assert "found an empty file" in found["empty.png"]["error"]
    for entry in found.values():
        assert list(entry) == ["file", "text", "digits", "rejected", "error"]
        for digit in entry["digits"]:
            assert digit["probability"] == max(digit["probabilities"])
            assert len(digit["box"]) == 4


def test_a_pattern_gives_one_csv_row_per_digit(folder: Path) -> None:
    found = list(csv.DictReader(io.StringIO(digits("--csv", f"{folder}/**/[rbt]*.[jp][pn]g").stdout)))
    rows = [(Path(row["file"]).name, row["position"], row["digit"]) for row in found]
    assert rows == [
        ("blank.png", "", ""),
        ("row.jpg", "1", "2"),
        ("row.jpg", "2", "7"),
        ("text.png", "", ""),
        ("three.png", "1", "3"),
    ]
    assert found[0]["error"] == "no digits found"
    assert "expected an image" in found[3]["error"]


def test_blank_paper_has_no_digits(folder: Path) -> None:
    done = digits(str(folder / "blank.png"))
    assert done.returncode == 0
    assert done.stdout == f"{folder / 'blank.png'}: no digits found\n"
    assert done.stderr == f"{folder / 'blank.png'}: found no ink\n"


def test_rejected_ink_is_reported_with_a_reason(tmp_path: Path) -> None:
    picture = Image.new("L", (200, 200), 230)
    for x, y in ((60, 0), (0, 60), (45, 45), (45, -45)):
        ImageDraw.Draw(picture).line((100 - x, 100 - y, 100 + x, 100 + y), 20, 8)
    picture.save(tmp_path / "star.png")
    plain = digits(str(tmp_path / "star.png"))
    assert plain.stdout == f"{tmp_path / 'star.png'}: no digits found\n"
    assert plain.stderr == f"{tmp_path / 'star.png'}: rejected 1 part of the ink (1 not a digit)\n"
    ((rejected,),) = (entry["rejected"] for entry in json.loads(digits("--json", str(tmp_path / "star.png")).stdout))
    assert rejected["reason"] == "not a digit"
    assert 0 <= rejected["digitness"] < 0.5
    assert rejected["box"] == pytest.approx([40, 40, 160, 160], abs=6)


def test_a_dash_reads_standard_input(folder: Path) -> None:
    done = digits("-", content=(folder / "three.png").read_bytes())
    assert done.returncode == 0
    assert done.stdout.startswith("-: 3  ")


@pytest.mark.parametrize(
    ("name", "message"),
    [(str(ROOT / "notebooks"), "expected pictures"), ("no*such", "expected files, found none")],
    ids=["folder", "pattern"],
)
def test_names_without_any_picture_are_an_error(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(cli.find_files([name]))


def test_a_missing_model_is_an_error() -> None:
    done = digits("--model", "models/none", "x.png")
    assert done.returncode == 1
    assert "models/none/model.onnx not found" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_progress_is_shown_only_on_a_terminal(
    folder: Path, form: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(folder / "three.png")] * (cli.MIN_FILES_TO_COUNT + 1)
    monkeypatch.setattr(sys, "argv", ["digits", *form, *names])
    assert cli.main() == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert cli.main() == 0
    captured = capsys.readouterr()
    assert f"{len(names)}/{len(names)}" in captured.err
    assert "\r" not in captured.out


def test_one_picture_takes_less_than_half_a_second(folder: Path) -> None:
    def seconds() -> float:
        start = sum(os.times()[2:4])  # processor time of child processes
        assert digits(str(folder / "three.png")).returncode == 0
        return sum(os.times()[2:4]) - start

    assert any(seconds() < 0.5 for _ in range(10))  # other processes may slow down some of the runs


def test_occlusion_sensitivity_is_highest_near_ink(folder: Path, classifier: Classifier) -> None:
    (digit,) = recognise_digits(classifier, load_image(folder / "three.png"))
    heat = occlusion_sensitivity(classifier, digit)
    assert heat.shape == (28, 28)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert digit.image[max(y - 5, 0) : y + 6, max(x - 5, 0) : x + 6].max() > 0.5


def test_show_draws_every_picture(folder: Path) -> None:
    pictures = [str(folder / name) for name in ("three.png", "sub/row.jpg", "blank.png")]
    done = digits("--show", str(folder / "seen.jpg"), *pictures)
    assert done.returncode == 0, done.stderr
    with Image.open(folder / "seen.jpg") as drawn:
        assert drawn.format == "PNG"  # whatever the name of the file
        assert drawn.width > 300
        values = np.asarray(drawn.convert("RGB"), np.int16)
    orange = (values[..., 0] - values[..., 2] > 150).any(axis=1)  # boxes and bars
    assert orange[: len(orange) // 2].any()
    assert len(values) > 3 * 300


def test_show_draws_a_result_without_pictures(tmp_path: Path, classifier: Classifier) -> None:
    draw_results([], classifier, tmp_path / "seen.png")
    with Image.open(tmp_path / "seen.png") as drawn:
        assert drawn.size >= (1, 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1)])
def test_show_draws_pictures_of_extreme_shapes(tmp_path: Path, classifier: Classifier, shape: tuple[int, int]) -> None:
    picture = Picture(np.zeros(shape, np.float32), shape[::-1], 1)
    draw_results([("x" * 200, picture, [])], classifier, tmp_path / "seen.png")
    assert (tmp_path / "seen.png").stat().st_size


def test_large_pictures_have_boxes_in_pixels_of_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def boxes(*options: str) -> list[list[int]]:
        monkeypatch.setattr(sys, "argv", ["digits", "--json", *options, str(folder / "sub/row.jpg")])
        assert cli.main() == 0
        return [digit["box"] for digit in json.loads(capsys.readouterr().out)[0]["digits"]]

    expected = boxes("--show", str(folder / "whole.png"))
    monkeypatch.setattr(images, "FULL_SIZE", 15_000)  # the picture has 60,000 pixels
    found = boxes("--show", str(folder / "shrunk.png"))
    assert len(found) == 2
    assert np.array(found) == pytest.approx(np.array(expected), abs=6)
    drawn = [np.asarray(Image.open(folder / name).convert("L"), float) for name in ("whole.png", "shrunk.png")]
    assert abs(drawn[0] - drawn[1])[:, :400].mean() < 4  # the boxes are at the same places


def test_pictures_are_not_kept_unless_they_are_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[weakref.ref[Picture]] = []
    recognise_file = cli.recognise_file

    def counting(classifier: Classifier, name: str) -> cli.Result:
        assert sum(picture() is not None for picture in kept) <= 1
        result = recognise_file(classifier, name)
        assert result.picture
        kept.append(weakref.ref(result.picture))
        return result

    monkeypatch.setattr(cli, "recognise_file", counting)
    monkeypatch.setattr(sys, "argv", ["digits", *[str(folder / "three.png")] * 4])
    assert cli.main() == 0
    assert len(kept) == 4


def test_what_libraries_say_about_broken_pictures_is_not_printed(tmp_path: Path) -> None:
    """Pillow warns of broken EXIF tags, and libtiff writes to standard error itself."""
    tags = b"".join(struct.pack("<HHLL", 0x0100 + number, 2, 5_000, 60_000) for number in range(9))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 9) + tags + b"\0\0\0\0"
    three = Image.fromarray((255 * draw_text("3", size=(200, 300))).astype(np.uint8))
    three.save(tmp_path / "exif.jpg", exif=exif)
    three.save(tmp_path / "broken.tif", compression="tiff_adobe_deflate")
    content = bytearray((tmp_path / "broken.tif").read_bytes())
    content[20:40] = b"x" * 20
    (tmp_path / "broken.tif").write_bytes(content)
    done = digits(str(tmp_path))
    assert done.stderr == ""
    broken, read = done.stdout.splitlines()
    assert broken.startswith(f"error: {tmp_path / 'broken.tif'}: expected a valid image, found a broken one")
    assert read.startswith(f"{tmp_path / 'exif.jpg'}: 3  ")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_standard_error_may_be_closed(folder: Path) -> None:
    command = f"{sys.executable} -m digits.cli {folder / 'three.png'} 2>&-"
    assert ": 3  " in subprocess.check_output(command, shell=True, cwd=ROOT, text=True)
