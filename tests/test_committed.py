"""The committed files fit together: model, dvc.lock, leaderboard and metrics; and arrays made of real MNIST, if at
hand.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from torchvision.datasets.mnist import read_image_file, read_label_file

from digits.model import Classifier
from tests.conftest import ROOT, call, copy_project

BOARD = json.loads((ROOT / "results/leaderboard.json").read_text())
STAGES = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
BEST = ROOT / "models/best"


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def md5_as_dvc(path: Path) -> str:
    """Return what dvc.lock says of a file, or of a folder with all files that git tracks there."""
    if path.is_file():
        return md5(path)
    names = sorted(call(path, "git", "ls-files").split())
    listing = [{"md5": md5(path / name), "relpath": name} for name in names]
    return hashlib.md5(json.dumps(listing).encode()).hexdigest() + ".dir"


def test_the_winner_is_what_dvc_lock_says() -> None:
    outs = {out["path"]: out for out in STAGES["report"]["outs"]}
    assert outs["models/best"]["md5"] == md5_as_dvc(BEST)
    assert outs["results/leaderboard.json"]["md5"] == md5(ROOT / "results/leaderboard.json")
    packaged = {out["path"]: out for out in STAGES[f"package@{BOARD['winner']}"]["outs"]}
    assert packaged[f"models/{BOARD['winner']}"]["md5"] == outs["models/best"]["md5"]
    assert (BEST / "model.onnx").stat().st_size < 2_000_000


def test_the_committed_model_recognises_a_1() -> None:
    classifier = Classifier.load(BEST)
    assert classifier.metadata["name"] == BOARD["winner"]
    one = np.zeros((1, 1, 28, 28), np.float32)
    one[:, :, 4:24, 13:15] = 1
    assert classifier.predict(one).tolist() == [1]


def test_metrics_are_those_of_dvc_lock() -> None:
    for row in BOARD["models"]:
        path = f"metrics/{row['model']}.json"
        outs = {out["path"]: out["md5"] for out in STAGES[f"evaluate@{row['model']}"]["outs"]}
        assert outs[path] == md5(ROOT / path)
        assert json.loads((ROOT / path).read_text())["test"]["errors"] == row["test_errors"]


def test_every_model_reaches_its_minimum_accuracy() -> None:
    least = {"logreg": 0.924, "svm": 0.992, "random_forest": 0.980, "mlp": 0.983, "lenet": 0.989}
    least |= {"logreg_hog": 0.983, "cnn_fast": 0.988, "cnn": 0.995}
    found = {row["model"]: row["test_accuracy"] for row in BOARD["models"]}
    assert found.keys() >= least.keys()
    assert all(found[name] >= accuracy for name, accuracy in least.items())


def test_the_winner_is_accurate_on_every_slice_of_the_test_set() -> None:
    """Slices are digits, and tertiles of stroke width, slant and size."""
    card = (ROOT / "reports/model_card.md").read_text().partition("## Slices of the test set")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| ([\d,]+) \| \d+ \| ([\d.]+)% \|", card, re.MULTILINE)
    assert len(found) == 10 + 3 * 3
    for name, images, accuracy in found:
        assert int(images.replace(",", "")) > 500
        assert float(accuracy) >= 98.5, name


def test_no_model_is_older_than_its_code() -> None:
    """What dvc.lock says of each file and folder in git that a stage depends on is what it is now."""
    for name, stage in STAGES.items():
        for dep in stage["deps"]:
            if dep["path"].startswith(("pipeline/", "digits/")):
                assert dep["md5"] == md5_as_dvc(ROOT / dep["path"]), f"{dep['path']} changed: dvc repro {name}"


def test_no_model_is_older_than_its_parameters() -> None:
    """What dvc.lock says of each parameter that a stage reads is what params.yaml says now."""
    for name, stage in STAGES.items():
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            now = yaml.safe_load((ROOT / "params.yaml").read_text())
            for part in key.split("."):
                now = now[part]
            assert now == value, f"params.yaml: {key} changed: dvc repro {name}"


def test_no_data_no_other_weights_no_pickles() -> None:
    files = call(ROOT, "git", "ls-files").split()
    assert not call(ROOT, "git", "ls-files", "--cached", "--ignored", "--exclude-standard")
    assert [name for name in files if name.endswith(".onnx")] == ["models/best/model.onnx"]
    assert not [name for name in files if name.endswith((".gz", ".npy", ".npz", ".pkl", ".pt", ".ckpt", ".joblib"))]


@pytest.mark.skipif("MNIST_MIRROR" not in os.environ, reason="needs MNIST_MIRROR=FOLDER with the files of MNIST")
def test_real_mnist_gives_the_committed_arrays(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "project")
    mirror = os.environ["MNIST_MIRROR"]
    mirror = mirror if "://" in mirror else str(Path(mirror).resolve())
    call(folder, "dvc", "repro", "preprocess", MNIST_MIRROR=mirror, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (folder / "dvc.lock").read_text() == (ROOT / "dvc.lock").read_text()
    for file, read, part in (("images-idx3", read_image_file, "images"), ("labels-idx1", read_label_file, "labels")):
        with gzip.open(folder / f"data/raw/t10k-{file}-ubyte.gz") as packed, (tmp_path / file).open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        assert np.array_equal(np.load(folder / f"data/prepared/test/{part}.npy"), read(str(tmp_path / file)).numpy())
