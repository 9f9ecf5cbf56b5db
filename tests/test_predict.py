import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import predict
from pipeline.artifact import Classifier
from pipeline.errors import InputError
from pipeline.imaging import pictures
from pipeline.reading import read
from pipeline.reporting import readings
from tests.conftest import ROOT, call
from tests.test_reading import written

DIGITS = ("python", "-m", "pipeline.predict")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a 3, a row, empty paper and three files that are no pictures."""
    for name, text in (("three.png", "3"), ("sub/row.jpg", "27"), ("blank.png", "")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray((255 * written(text, size=(200, 300))).astype(np.uint8)).save(tmp_path / name)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("seven")
    (tmp_path / "notes.txt").write_text("not looked at")
    return tmp_path


def test_one_bad_file_does_not_stop_the_rest(folder: Path) -> None:
    bad = str(folder / "text.png"), "missing.png", "README.md/missing.png"
    found = call(ROOT, *DIGITS, *bad[1:], str(folder / "three.png"), bad[0], fails=True)
    assert found.count("error: ") == 3
    assert f"{folder / 'three.png'}: 3  " in found
    assert "Traceback" not in found


def test_a_folder_as_json(folder: Path) -> None:
    command = [sys.executable, *DIGITS[1:], "--json", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    found = {Path(entry["file"]).name: entry for entry in json.loads(done.stdout)}
    assert list(found) == ["blank.png", "empty.png", "row.jpg", "text.png", "three.png"]
    assert {name: entry["text"] for name, entry in found.items() if not entry["error"]} == {
        "blank.png": "",
        "row.jpg": "27",
        "three.png": "3",
    }
    assert "found an empty file" in found["empty.png"]["error"]
    for entry in found.values():
        assert list(entry) == ["file", "text", "digits", "error"]
        for digit in entry["digits"]:
            assert digit["probability"] == max(digit["probabilities"])
            assert len(digit["box"]) == 4


def test_patterns_and_csv(folder: Path) -> None:
    found = list(csv.DictReader(io.StringIO(call(ROOT, *DIGITS, "--csv", f"{folder}/**/[rbt]*.[jp][pn]g", fails=True))))
    rows = [
        (Path(row["file"]).name, row["place"], row["digit"]) for row in found if not row["file"].startswith("error")
    ]
    assert rows == [
        ("blank.png", "", ""),
        ("row.jpg", "1", "2"),
        ("row.jpg", "2", "7"),
        ("text.png", "", ""),
        ("three.png", "1", "3"),
    ]


def test_standard_input(folder: Path) -> None:
    content = (folder / "three.png").read_bytes()
    done = subprocess.run([sys.executable, *DIGITS[1:], "-"], cwd=ROOT, input=content, capture_output=True, check=True)
    assert done.stdout.startswith(b"-: 3  ")


def test_nothing_found_is_said() -> None:
    for name, message in ((str(ROOT / "notebooks"), "expected pictures"), ("no*such", "expected files, found none")):
        with pytest.raises(InputError, match=message):
            list(predict.files([name]))
    assert "models/none/model.onnx not found" in call(ROOT, *DIGITS, "--model", "models/none", "x.png", fails=True)


def test_the_picture_of_what_was_seen(folder: Path) -> None:
    classifier = Classifier.load(ROOT / "models/best")
    grey = pictures.read(folder / "three.png")
    digits = read(classifier, grey)
    heat = readings.saliency(classifier, digits[0])
    assert heat.shape == (28, 28)
    decisive = np.unravel_index(heat.argmax(), heat.shape)
    assert (
        digits[0].image[max(decisive[0] - 5, 0) : decisive[0] + 6, max(decisive[1] - 5, 0) : decisive[1] + 6].max()
        > 0.5
    )
    readings.save([("three.png", grey, digits), ("none.png", grey, [])], classifier, folder / "seen.jpg")
    with Image.open(folder / "seen.jpg") as drawn:  # a PNG, whatever its name
        assert drawn.width > 300
