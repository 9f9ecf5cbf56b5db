import csv
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from digits import cli
from digits.errors import InputError
from digits.images import load_image
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
        start = time.perf_counter()
        assert digits(str(folder / "three.png")).returncode == 0
        return time.perf_counter() - start

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
    draw_results([("x" * 200, np.zeros(shape, np.float32), [])], classifier, tmp_path / "seen.png")
    assert (tmp_path / "seen.png").stat().st_size
