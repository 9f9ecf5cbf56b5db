"""Files of each published format, with two images, are decoded; scores, groups and the command are right."""

import bz2
import csv
import gzip
import io
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cogapp
import numpy as np
import pytest
from PIL import Image

import benchmarks
from benchmarks.external import __main__ as external
from benchmarks.external import formats, measure, tables
from benchmarks.external.datasets import LIKE_DIGITS, RECORDS
from digits.errors import InputError
from digits.model import Classifier
from pipeline import json_file
from tests.conftest import ROOT


def inks(side: int, binary: bool = True) -> np.ndarray:
    """Return two images without any symmetry, (2, side, side) uint8."""
    rng = np.random.default_rng(side)
    return (255 * rng.integers(0, 2, (2, side, side)) if binary else rng.integers(0, 256, (2, side, side))).astype(
        np.uint8
    )


def png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def zipped(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def one_hot(*digits: int) -> str:
    return "".join(" ".join(str(int(digit == place)) for place in range(10)) + "\n" for digit in digits)


def usps(path: Path) -> np.ndarray:
    images = inks(16, binary=False)
    values = images.reshape(2, -1) / 127.5 - 1
    if path.suffix == ".bz2":
        lines = (
            f"{digit + 1} " + " ".join(f"{place}:{value:.6f}" for place, value in enumerate(row, 1))
            for digit, row in zip((9, 0), values, strict=True)
        )
        path.write_bytes(bz2.compress("\n".join(lines).encode()))
    else:
        lines = (
            f"{digit:.4f} " + " ".join(f"{value:.3f}" for value in row)
            for digit, row in zip((9, 0), values, strict=True)
        )
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return images


def semeion(path: Path) -> np.ndarray:
    images = inks(16)
    lines = (
        " ".join(f"{value:.4f}" for value in image.ravel() / 255) + " " + one_hot(digit).strip() + " \n"
        for digit, image in zip((9, 0), images, strict=True)
    )
    path.write_text("".join(lines))
    return images


def optdigits(path: Path) -> np.ndarray:
    images = inks(32)
    text = "# a header\nentwidth = 32\nentheight= 32\nnentries = 2\n\n"
    for digit, image in zip((9, 0), images, strict=True):
        text += "".join("".join(map(str, row)) + "\n" for row in image // 255) + f" {digit}\n"
    path.write_text(text)
    return images


def emnist_digits(path: Path) -> np.ndarray:
    return emnist(path, "digits", [9, 0])


def emnist_letters(path: Path) -> np.ndarray:
    return emnist(path, "letters", [1, 24])


def emnist(path: Path, split: str, labels: list[int]) -> np.ndarray:
    images = inks(28, binary=False)
    name = f"gzip/emnist-{split}-test-"
    transposed = idx(images.transpose(0, 2, 1))
    zipped(path, {f"{name}images-idx3-ubyte.gz": transposed, f"{name}labels-idx1-ubyte.gz": idx(np.array(labels))})
    return images


def fashion_mnist(path: Path) -> np.ndarray:
    images = inks(28, binary=False)
    path.write_bytes(idx(images))
    return images


def notmnist(path: Path) -> np.ndarray:
    images = inks(28, binary=False)
    files = {"B/b.png": png(images[1]), "A/a.png": png(images[0]), "A/empty.png": b""}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"notMNIST_small/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return images


def omniglot(path: Path) -> np.ndarray:
    images = inks(105)
    folder = f"{path.stem}/Greek"
    files = {f"{folder}/character0{place}/000{place}_01.png": png(image) for place, image in enumerate(images)}
    zipped(path, {f"{path.stem}/": b"", **files})
    return images


def numbers(path: Path) -> np.ndarray:
    images = inks(40, binary=False)[:, :30]
    files = {"0002_CH3F/0/number-1.png": images[1], "0001_CH4M/9/number-7.png": images[0]}
    files |= {"UNCATEGORIZED/5/1.png": images[0], "0001_CH4M/scan-000.png": images[0]}
    if path.suffix == ".zip":
        zipped(path, {f"numbers-master/{name}": png(image) for name, image in files.items()})
    else:
        for name, image in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(png(image))
    return images


def ardis(path: Path) -> np.ndarray:
    images = inks(28, binary=False)
    np.savetxt(path, images.reshape(2, -1), fmt="%.6e")
    path.with_name("ARDIS_test_labels.csv").write_text(one_hot(9, 0))
    return images


def own(path: Path) -> np.ndarray:
    images = inks(60, binary=False)[:, :50]
    with path.open("w", newline="") as table:
        csv.writer(table).writerows([("file", "label", "kind"), ("a.png", "12 34", "photo"), ("b.png", "", "photo")])
    for name, image in zip("ab", images, strict=True):
        (path.parent / f"{name}.png").write_bytes(png(image))
    return images


WRITERS: dict[str, tuple[Callable[[Path], np.ndarray], list[str]]] = {
    "usps": (usps, ["9", "0"]),
    "semeion": (semeion, ["9", "0"]),
    "optdigits": (optdigits, ["9", "0"]),
    "emnist digits": (emnist_digits, ["9", "0"]),
    "emnist letters": (emnist_letters, ["A", "X"]),
    "fashion-mnist": (fashion_mnist, ["", ""]),
    "notmnist": (notmnist, ["A", "B"]),
    "omniglot": (omniglot, ["", ""]),
    "kensanata": (numbers, ["9", "0"]),
    "ardis": (ardis, ["9", "0"]),
    "own": (own, ["1234", ""]),
}
FILES = [(name, file) for name, record in RECORDS.items() for file in record.files]


def written(folder: Path, name: str, file: str) -> tuple[Path, np.ndarray]:
    """Write two images of the dataset `name` to where the command looks for `file`; return the path and the images."""
    path = folder / name.split()[0] / file
    path.parent.mkdir(parents=True, exist_ok=True)
    return path, WRITERS[name][0](path)


@pytest.mark.parametrize(("name", "file"), FILES)
def test_published_format_is_decoded(name: str, file: str, tmp_path: Path) -> None:
    path, images = written(tmp_path, name, file)
    found = RECORDS[name].decode(path)
    assert found.labels == WRITERS[name][1]
    for row, image in enumerate(images):
        grey = found.grey(row)
        assert grey.dtype == np.float32
        assert np.abs(255 * grey - image).max() < 0.6  # USPS is written with three decimals


@pytest.mark.parametrize(("name", "file"), FILES)
def test_broken_file_is_an_error_that_names_it(name: str, file: str, tmp_path: Path) -> None:
    path, _ = written(tmp_path, name, file)
    if path.is_dir():
        for image in path.rglob("*.png"):
            image.write_bytes(b"broken")
    else:
        path.write_bytes(b"broken")
    with pytest.raises(InputError, match=path.name):
        external.measure_file(Classifier.load(ROOT / "models/best"), RECORDS[name], path, 1, None)


def test_labels_that_are_missing_are_an_error(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "ardis", "ARDIS_test_2828.csv")
    path.with_name("ARDIS_test_labels.csv").unlink()
    with pytest.raises(InputError, match=r"ARDIS_test_labels\.csv"):
        external.measure_file(Classifier.load(ROOT / "models/best"), RECORDS["ardis"], path, 1, None)


def test_bitmaps_of_bundled_digits_touch_all_edges() -> None:
    digits, bitmaps = formats.sklearn_digits(Path()), formats.sklearn_bitmaps(Path())
    assert bitmaps.labels == digits.labels
    assert len(bitmaps) == 1797
    for row in range(0, 1797, 100):
        grey = bitmaps.grey(row)
        assert set(np.unique(grey)) <= {0, 1}
        assert all(edge.any() for edge in (grey[0], grey[-1], grey[:, 0], grey[:, -1]))
        assert 16 < max(grey.shape) <= 32


def test_only_datasets_that_are_there_are_measured(tmp_path: Path) -> None:
    bundled = ["sklearn", "sklearn bitmaps"]
    assert [name for name, _, _ in external.sources(None)] == bundled
    written(tmp_path, "semeion", "semeion.data")
    written(tmp_path, "emnist digits", "gzip.zip")
    found = [name for name, _, _ in external.sources(tmp_path)]
    assert found == [*bundled, "semeion", "emnist digits", "emnist letters"]  # one file holds both


def test_checksum_is_compared_with_the_published_one(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "semeion", "semeion.data")
    assert external.checksum(RECORDS["semeion"], path) == "unknown"
    path, _ = written(tmp_path, "omniglot", "images_evaluation.zip")
    assert external.checksum(RECORDS["omniglot"], path) == "differs"
    assert all(len(sha) == 64 for record in RECORDS.values() for sha in record.files.values() if sha)


def test_rows_are_evenly_spaced() -> None:
    assert measure.evenly_spaced(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert measure.evenly_spaced(3, 5).tolist() == measure.evenly_spaced(3, None).tolist() == [0, 1, 2]
    assert measure.evenly_spaced(0, 5).tolist() == []


def test_letters_like_digits_are_left_out_of_a_group() -> None:
    groups = {name: chosen.tolist() for name, _, chosen in measure.groups("letters", np.array(["B", "X", "o"], object))}
    assert groups == {"all": [True] * 3, "letters unlike digits": [False, True, False]}
    assert set("OIZSBGQ") <= LIKE_DIGITS
    assert not set("KMRWX") & LIKE_DIGITS


def test_own_pictures_are_grouped_by_the_number_of_digits() -> None:
    found = {name: (content, chosen.tolist()) for name, content, chosen in measure.groups("pictures", LABELS)}
    assert found == {
        "single digits": ("digits", [True, False, False]),
        "rows of digits": ("digits", [False, True, False]),
        "without digits": ("outliers", [False, False, True]),
    }


LABELS = np.array(["7", "71", ""], object)


def test_symbol_is_normalised() -> None:
    ink = np.zeros((100, 60), np.float32)
    ink[:, 20:40] = 0.7
    image = measure.like_mnist(ink)
    rows = np.flatnonzero(image.max(axis=1) > 0.5)
    assert image.shape == (28, 28)
    assert image.max() == 1
    assert len(rows) == 20
    assert not measure.like_mnist(np.full((9, 9), 0.4, np.float32)).any()


def test_margin_has_the_colour_of_the_paper() -> None:
    wide = measure.with_margin(np.array([[0.1, 0.9, 0.1, 0.1]], np.float32))
    assert wide.shape == (3, 6)
    assert wide[0].tolist() == wide[2].tolist() == [np.float32(0.9)] * 6
    assert wide[1, 1:5].tolist() == [np.float32(value) for value in (0.1, 0.9, 0.1, 0.1)]


def test_scores_of_digits_count_what_is_accepted_and_correct() -> None:
    correct, accepted = np.array([1, 1, 1, 0], bool), np.array([1, 1, 0, 1], bool)
    found = measure.digit_scores(correct, accepted)
    assert (found["accuracy"], found["coverage"], found["false_rejection_rate"]) == (0.75, 0.75, 0.25)
    assert found["accepted_and_correct_low"] < found["accepted_and_correct"] == 0.5 < found["accepted_and_correct_high"]


def test_detection_compares_outliers_with_digits() -> None:
    digits = np.linspace(0.5, 1, 101)
    assert measure.detection(digits, np.full(10, 0.1)) == {"auroc": 1, "false_positive_rate": 0}
    found = measure.detection(digits, np.array([0.52, 0.53, 0.1, 0.9]))
    assert found["false_positive_rate"] == 0.5  # 95% of the digits have at least 0.525
    assert 0.5 < found["auroc"] < 1


def test_classifier_and_reader_see_the_right_polarity() -> None:
    """A 7, drawn, is accepted and read as bright ink and as dark ink; inverted it would be neither."""
    stroke = np.zeros((60, 60), np.uint8)
    stroke[12:17, 18:42] = 255
    for row in range(17, 48):
        column = 40 - (row - 17) // 2
        stroke[row, column - 4 : column + 1] = 255
    classifier = Classifier.load(ROOT / "models/best")
    for name, image in (("semeion", stroke), ("kensanata", 255 - stroke)):
        found = formats.LabelledPictures(["7"], [image])
        (result,) = measure.measure(classifier, RECORDS[name], found, np.array([0]), None)
        assert result["reader"]["accepted_and_correct"] == result["classifier"]["accepted_and_correct"] == 1


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return the results of a run on three small datasets; `capsys` sees its output."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(external, "reference", lambda _: (REFERENCE, SCORES))
    names = ("semeion", "emnist letters", "own")
    monkeypatch.setattr(external, "RECORDS", {name: RECORDS[name] for name in names})
    for name in names:
        written(tmp_path, name, next(iter(RECORDS[name].files)))
    monkeypatch.setenv("EXTERNAL", str(tmp_path))
    external.main()
    return tmp_path / "results/external.json"


REFERENCE = {"title": "two digits", "images": 2, "false_rejection_rate": 0.5}
SCORES = {"digitness": np.array([0.5, 0.9]), "max_probability": np.array([0.5, 0.9])}


def test_command_writes_results_and_prints_narrow_tables(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json_file.read(results)["results"]
    rows = {(row["dataset"], row["group"]): row for row in found["rows"]}
    assert found["limit"] == external.LIMIT
    assert rows.keys() == {
        ("semeion", "all"),
        ("emnist letters", "all"),
        ("emnist letters", "letters unlike digits"),
        ("own", "rows of digits"),
        ("own", "without digits"),
    }
    assert rows["semeion", "all"].keys() >= {"classifier", "reader", "reader_with_margin", "images", "of", "checksum"}
    assert rows["emnist letters", "all"]["detection"].keys() == SCORES.keys()
    assert "classifier" not in rows["own", "rows of digits"]
    printed = capsys.readouterr().out
    assert "Semeion" in printed
    assert {"margin:", "baseline:"} <= set(printed.split())  # of the last columns
    assert max(map(len, printed.splitlines())) <= external.WIDTH
    assert all(len(row) == len(tables.DIGITS) for row in tables.digit_rows(found["rows"]))
    assert all(len(row) == len(tables.OUTLIERS) for row in tables.outlier_rows(found["rows"]))


def test_missing_folder_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXTERNAL", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="expected a folder"):
        external.main()


def unmeasured(document: str) -> set[str]:
    """Return the titles of the datasets that the generated `document` names as not measured."""
    (names,) = re.findall(r"^- Supported but not measured: (.*?)\. Their decoders", document, re.MULTILINE)
    return set(names.split("; "))


def test_document_names_every_file_and_needs_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/external.md").read_text()
    for name, file in FILES:
        assert f"{name.split()[0]}/{file}" in text
    monkeypatch.chdir(tmp_path)
    generated = cogapp.Cog().process_string(text)
    assert unmeasured(generated) == {record.title for record in RECORDS.values()}


def test_document_shows_the_results(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "results").rename(tmp_path / "benchmarks/results")
    monkeypatch.chdir(tmp_path)
    generated = cogapp.Cog().process_string((ROOT / "docs/external.md").read_text())
    assert "| Semeion | 2 |" in generated
    measured = {RECORDS[name].title for name in ("semeion", "emnist letters", "own")}
    assert unmeasured(generated) == {record.title for record in RECORDS.values()} - measured
