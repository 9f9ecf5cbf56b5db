"""That the benchmarks run; what they measure is nobody's test."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import benchmarks
from benchmarks import draw, ensemble, inference, recipes, suspects, training
from digits.model import Classifier
from pipeline.datasets.arrays import LabelledImages
from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["train_mnist_fast", "bare_cnn"])
def test_recipes_learn(name: str, digits: LabelledImages) -> None:
    held_out = LabelledImages(digits.images[1000:], digits.labels[1000:])
    images = LabelledImages(np.tile(digits.images[:1000], (4, 1, 1)), np.tile(digits.labels[:1000], 4))
    measured = list(recipes.RECIPES[name](images, held_out, (0.13, 0.31), 1))
    assert [seconds for seconds, _ in measured] == sorted(seconds for seconds, _ in measured)
    assert measured[-1][1] > 0.5


def test_pytorch_example_has_its_published_size() -> None:
    assert sum(parameter.numel() for parameter in recipes.PytorchExample().parameters()) == 1_199_882


@pytest.mark.slow
def test_our_engine_is_timed(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    (seconds, accuracy), *others = training.ours("cnn", 1, 2, tmp_path)
    assert not others
    assert seconds > 0
    assert accuracy > 0.8


@pytest.mark.slow
def test_an_ensemble_is_the_mean_of_its_members(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    found = ensemble.measure([Path("models/svm"), Path("models/cnn")])
    for split in ("validation", "test"):
        alone = [json.loads(Path(f"metrics/{name}.json").read_text())[split]["accuracy"] for name in ("svm", "cnn")]
        assert found[split]["singles"] == pytest.approx(alone, abs=1e-6)
        assert found[split]["mean"] > 0.9
    assert ensemble.measure([Path("models/cnn")])["test"]["mean"] == found["test"]["singles"][1]


def test_a_benchmark_that_is_stopped_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    benchmarks.write("training", {"cnn": {"1": [[9.0, 0.5]]}, "lenet": {"1": [[8.0, 0.4]]}})

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "lenet" in command:
            raise KeyboardInterrupt
        return subprocess.CompletedProcess(command, 0, "[[7.0, 0.6]]\n")

    monkeypatch.setattr(training.subprocess, "run", run)
    monkeypatch.setattr("sys.argv", ["training", "cnn", "lenet"])
    with pytest.raises(KeyboardInterrupt):
        training.main()
    assert benchmarks.read("training") == {"cnn": {"1": [[7.0, 0.6]]}, "lenet": {"1": [[8.0, 0.4]]}}


def test_known_wrong_labels_are_found_among_the_test_images_only() -> None:
    listed = [{"split": "train", "row": 947}, {"split": "test", "row": 5}, {"split": "test", "row": 9729}]
    assert suspects.places(listed) == {9729: 2}
    assert len(set(suspects.KNOWN)) == 15


def test_epochs_are_put_together_over_seeds() -> None:
    runs = {"1": [(1.0, 0.9), (2.0, 0.95)], "2": [(3.0, 0.8), (4.0, 0.85)]}
    assert draw.epochs(runs) == [(2.0, [0.9, 0.8]), (3.0, [0.95, 0.85])]
    draw.training({"cnn": runs, "other": {"1": [(1.0, 0.5)]}})


def test_inference_times_every_image() -> None:
    classifier = Classifier.load(ROOT / "models/best")
    images = np.zeros((30, 1, 28, 28), np.float32)
    found = inference.latencies(classifier, images)
    assert len(found) == 30
    assert min(found) > 0
    assert inference.images_a_second(classifier, images) > 0


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks/results").glob("*.json")), ids=lambda path: path.name)
def test_results_say_where_they_come_from(file: Path) -> None:
    content = json.loads(file.read_text())
    assert content.keys() == {"machine", "commit", "results"}
    assert {"cpu", "threads", "torch"} <= content["machine"].keys()


def test_results_are_written_with_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    benchmarks.write("x", {"cnn": 1})
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["results"] == {"cnn": 1}
    assert content["machine"]["cores"]
    assert content["commit"]
