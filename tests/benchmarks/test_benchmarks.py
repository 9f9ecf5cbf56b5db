"""The benchmarks run. No test depends on the values that they measure."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

import benchmarks
from benchmarks import (
    draw,
    ensemble,
    inference,
    int8,
    label_errors,
    learning_curve,
    recipes,
    rejection,
    robustness,
    rounding,
    stages,
    training,
)
from digits.errors import InputError
from digits.interface import DIGITNESS, INPUT, PROBABILITIES
from digits.model import Classifier
from pipeline import json_file, params
from pipeline.datasets import arrays
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.package import join
from pipeline.params import Augmentation
from pipeline.robustness import mnist_c
from pipeline.robustness.corruptions import CORRUPTIONS, corrupt
from pipeline.scoring.uncertainty import interval
from pipeline.training import networks
from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["train_mnist_fast", "train_mnist_fast, channels_last", "bare_cnn"])
def test_recipe_yields_increasing_seconds_and_learns(name: str, digits: LabelledImages) -> None:
    held_out = LabelledImages(digits.images[1000:], digits.labels[1000:])
    copies = 2 if name == "bare_cnn" else 4  # one epoch needs more steps than eleven
    images = LabelledImages(np.tile(digits.images[:1000], (copies, 1, 1)), np.tile(digits.labels[:1000], copies))
    measured = list(recipes.RECIPES[name](images, held_out, (0.13, 0.31), 1))
    assert [seconds for seconds, _ in measured] == sorted(seconds for seconds, _ in measured)
    assert measured[-1][1] > 0.5


def test_pytorch_example_has_the_published_number_of_parameters() -> None:
    assert sum(parameter.numel() for parameter in recipes.PytorchExample().parameters()) == 1_199_882


@pytest.mark.slow
def test_our_training_is_timed_and_its_probabilities_are_stored(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    flips, augment = set(), networks.augment_batch

    def augmented(images: torch.Tensor, policy: Augmentation) -> torch.Tensor:
        flips.add(policy.horizontal_flip)
        return augment(images, policy)

    monkeypatch.setattr(networks, "augment_batch", augmented)
    (seconds, accuracy), *others = training.train_ours("cnn", 1, 2, tmp_path)
    assert not others
    assert flips == {0.0}  # digits are not mirrored
    assert seconds > 0
    assert accuracy > 0.8
    assert ensemble.measure([tmp_path / "cnn-1.npz"], [])["test"] == {"1": [pytest.approx(accuracy, abs=1e-6)]}


@pytest.mark.slow
def test_the_winner_is_quantised_and_measured(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    monkeypatch.setattr(int8, "ROUNDS", 1)
    int8.main()
    found = benchmarks.read("int8")
    assert found["int8"]["bytes"] < found["float32"]["bytes"]
    assert abs(found["int8"]["validation_errors"] - found["float32"]["validation_errors"]) < 10


def test_recipes_run_in_turns_with_and_without_restrictions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    order: list[tuple[str, int, bool]] = []

    def run(name: str, seed: int, threads: int, keep: Path | None, place: Path) -> training.Points:
        order.append((name, seed, params.load(place / "params.yaml").runtime.reproducible))
        return [(1.0, 0.9)]

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    monkeypatch.setattr(training, "in_process", run)
    training.main("cnn_fast", "cnn", "--seeds", "2", "--free")
    assert order == [
        (name, seed, pinned) for seed in (1, 2) for name in ("cnn_fast", "cnn") for pinned in (True, False)
    ]
    assert list(benchmarks.read("training")) == ["cnn_fast", "cnn_fast, free", "cnn", "cnn, free"]


def test_more_seeds_are_added_to_stored_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    benchmarks.write("training", {"cnn": {str(seed): [[1.0, 0.9]] for seed in (1, 2, 3)}})
    monkeypatch.setattr(training, "in_process", lambda *_: [(2.0, 0.8)])
    training.main("cnn", "--first", "3", "--seeds", "4")
    assert benchmarks.read("training")["cnn"] == {
        "1": [[1.0, 0.9]],
        "2": [[1.0, 0.9]],
        "3": [[2.0, 0.8]],
        "4": [[2.0, 0.8]],
    }


def test_ensemble_averages_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = np.array([0, 1, 2, 3], np.uint8)
    for folder in (arrays.VALIDATION, arrays.TEST):
        LabelledImages(np.zeros((4, 28, 28), np.uint8), labels).save(folder)
    files = []
    for number, wrong in enumerate((0, 1, 2)):  # each network has one error of its own, with little confidence
        probabilities = np.eye(10, dtype=np.float32)[labels] * 0.8 + 0.02
        probabilities[wrong] = 0.09
        probabilities[wrong, 9] = 0.19
        files.append(tmp_path / f"cnn-{number}.npz")
        np.savez(files[-1], validation=probabilities, test=probabilities)
    expected = {"1": [0.75, 0.75, 0.75], "2": [1.0], "3": [1.0]}
    assert ensemble.measure(files, [2, 3]) == {
        "models": ["cnn-0", "cnn-1", "cnn-2"],
        "validation": expected,
        "test": expected,
    }


def test_interrupted_benchmark_keeps_finished_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    benchmarks.write("training", {"cnn": {"1": [[9.0, 0.5]]}, "lenet": {"1": [[8.0, 0.4]]}})

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "lenet" in command:
            raise KeyboardInterrupt
        return subprocess.CompletedProcess(command, 0, "[[7.0, 0.6]]\n")

    monkeypatch.setattr(training.subprocess, "run", run)
    with pytest.raises(KeyboardInterrupt):
        training.main("cnn", "lenet")
    assert benchmarks.read("training") == {"cnn": {"1": [[7.0, 0.6]]}, "lenet": {"1": [[8.0, 0.4]]}}


def test_unknown_recipe_is_an_error_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match="no such model"):
        training.main("cnn_fast", "vgg")


def test_importing_benchmarks_does_not_load_numpy() -> None:
    command = [sys.executable, "-c", "import benchmarks, pipeline.runtime, sys; sys.exit('numpy' in sys.modules)"]
    subprocess.run(command, cwd=ROOT, check=True)


def test_known_label_errors_are_searched_among_test_images_only() -> None:
    ranked = [{"split": "train", "row": 947}, {"split": "test", "row": 5}, {"split": "test", "row": 9729}]
    assert label_errors.ranks(ranked) == {9729: 2}
    assert len(set(label_errors.KNOWN)) == 15


def test_epochs_are_aggregated_over_seeds() -> None:
    runs = {"1": [(1.0, 0.9), (2.0, 0.95)], "2": [(3.0, 0.8), (4.0, 0.85)]}
    assert draw.epochs(runs) == [(2.0, [0.9, 0.8]), (3.0, [0.95, 0.85])]
    draw.training({"cnn": runs, "other": {"1": [(1.0, 0.5)]}})


def test_learning_curves_are_drawn_with_intervals() -> None:
    middle, low, high = draw.interval([1.0, 2.0, 4.0])
    assert middle == pytest.approx(2)
    assert high / middle == pytest.approx(middle / low)
    assert high == pytest.approx(2 * 2 ** (4.303 / 3**0.5), rel=1e-3)
    runs = {
        "1": {"seconds": 1.0, "errors": 20, "test_images": 1000},
        "2": {"seconds": 3.0, "errors": 5, "test_images": 1000},
    }
    left, right = draw.learning_curve({"cnn": {"sizes": {"1000": runs, "60000": runs}}}).axes
    assert [list(panel.get_lines()[0].get_xdata()) for panel in (left, right)] == [[1000, 60000], [2.0, 2.0]]
    assert list(left.get_lines()[0].get_ydata()) == pytest.approx([1.0, 1.0])


@pytest.mark.slow
def test_learning_curve_fits_samples_and_goes_on(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    fits = []

    def fit(name: str, size: str, seed: str) -> learning_curve.Fit:
        fits.append((name, size, seed))
        return learning_curve.fit(name, int(size), int(seed))

    monkeypatch.setattr(learning_curve, "in_process", fit)
    options = ("svm", "--sizes", "200", "1000", "--seeds")
    learning_curve.main(*options, "1")
    learning_curve.main(*options, "2")
    assert fits == [("svm", size, seed) for seed in "12" for size in ("200", "1000")]
    sizes = benchmarks.read("learning_curve")["svm"]["sizes"]
    assert sizes["1000"]["1"]["errors"] < sizes["200"]["1"]["errors"]
    with pytest.raises(InputError, match="which are all"):
        learning_curve.fit("svm", 10_000_000, 1)


def test_inference_times_every_image() -> None:
    classifier = Classifier.load(ROOT / "models/best")
    images = np.zeros((30, 1, 28, 28), np.float32)
    found = inference.latencies(classifier, images)
    assert len(found) == 30
    assert min(found) > 0
    assert inference.throughput(classifier, images) > 0


def test_photos_are_recognised(digits: LabelledImages) -> None:
    classifier = Classifier.load(ROOT / "models/best")
    found = inference.measure_photos(classifier, inference.photos(digits.first(3)))
    assert found["photos"] == 3
    assert found["one_digit_read"] >= 2
    assert 0 < found["milliseconds_p50"] <= found["milliseconds_p99"]


@pytest.mark.parametrize("kind", ["empty", *rejection.DRAWN])
def test_pictures_without_digits_are_valid_and_repeatable(kind: str) -> None:
    found = rejection.pictures(kind)
    assert len(found) == rejection.EACH
    assert all(picture.shape == (300, 300) and picture.dtype == np.float32 for picture in found)
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in found)
    assert np.array_equal(found, rejection.pictures(kind))


def graph(operator: str, constant: np.ndarray, output: str) -> onnx.ModelProto:
    """Return a model of one operator, from `images` (n, 4) and `constant` to `output`."""
    node = helper.make_node(operator, [INPUT, "constant"], [output])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None]) for name in (INPUT, output)]
    constants = [onnx.numpy_helper.from_array(constant.astype(np.float32), "constant")]
    made = helper.make_graph([node], "g", ends[:1], ends[1:], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_classifier_and_detector_take_the_images_without_the_canonicalizer() -> None:
    parts = graph("Add", np.ones(4), "canonical"), graph("Mul", np.full(4, 2), PROBABILITIES)
    model = join(*parts, graph("Mul", np.full(4, 3), DIGITNESS))
    images = np.arange(8, dtype=np.float32).reshape(2, 4)
    for found, shift in ((model, 1), (robustness.without_canonicalizer(model), 0)):
        session = onnxruntime.InferenceSession(found.SerializeToString(), providers=["CPUExecutionProvider"])
        probabilities, digitness = session.run([PROBABILITIES, DIGITNESS], {INPUT: images})
        assert np.array_equal(probabilities, 2 * (images + shift))
        assert np.array_equal(digitness, 3 * (images + shift))
    bare = robustness.without_canonicalizer(model)
    assert [value.name for value in bare.graph.input] == [INPUT]
    assert "canonicalizer_" not in str(bare)
    with pytest.raises(ValueError, match="expected tensors called canonicalizer_"):
        robustness.without_canonicalizer(bare)


class Reader:
    """Reads images as `digit`, with as much digitness as the first pixel is bright."""

    def __init__(self, digit: int) -> None:
        self.probabilities = np.eye(10, dtype=np.float32)[digit]

    def infer(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.tile(self.probabilities, (len(images), 1)), images[:, 0, 0, 0]

    def accept(self, digitness: np.ndarray) -> np.ndarray:
        return digitness > 0.5


def test_robustness_is_measured_with_and_without_the_canonicalizer() -> None:
    images = np.full((8, 28, 28), 255, np.uint8)
    images[6:] = 0  # rejected
    cell = robustness.measure(
        {"with": Reader(1), "without": Reader(2)}, LabelledImages(images, np.array([1, 2, 2, 2, 3, 3, 2, 1], np.uint8))
    )
    assert cell["images"] == 8
    assert cell["with"] == {
        **{"accuracy": 0.25, "coverage": 0.75, "selective_accuracy": 0.166667, "accepted_and_correct": 0.125},
        **dict(zip(("accepted_and_correct_low", "accepted_and_correct_high"), interval(1, 8), strict=True)),
    }
    assert cell["without"]["accepted_and_correct"] == 0.375
    assert cell["harm"] == 0.25


def test_a_suite_is_measured_and_summarised(digits: LabelledImages) -> None:
    table = [CORRUPTIONS["shot_noise"], CORRUPTIONS["thin"]]
    suite = list(robustness.corrupted(table, digits.first(10), seed=1))
    assert [(cell["corruption"], cell["severity"], cell["published"]) for cell, _ in suite] == [
        *(("shot_noise", 1, False), ("shot_noise", 2, False), ("shot_noise", 3, True)),
        *(("thin", 1, False), ("thin", 2, False), ("thin", 3, False)),
    ]
    assert np.array_equal(suite[2][1].images, corrupt(table[0], digits.images[:10], 3, 1))
    bright = [
        (cell, LabelledImages(np.full((10, 28, 28), 255, np.uint8), np.full(10, number % 2, np.uint8)))
        for number, (cell, _) in enumerate(suite)
    ]
    found = robustness.measure_suite({"with": Reader(0), "without": Reader(1)}, bright)
    assert len(found["cells"]) == 6
    assert found["summary"]["with"]["accepted_and_correct"] == 0.5
    assert found["summary"]["with"]["worst"] == {
        **{"corruption": "shot_noise", "severity": 2, "accepted_and_correct": 0.0},
    }
    assert found["summary"]["largest_harm"] == {"corruption": "shot_noise", "severity": 2, "harm": 1.0}


def test_unknown_options_of_the_robustness_benchmark_are_an_error() -> None:
    with pytest.raises(InputError, match="expected --held-out or nothing, found --all"):
        robustness.main("--all")


@pytest.mark.slow
def test_robustness_is_written_for_each_suite(
    project: Path, tmp_path: Path, digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    test = arrays.load(arrays.TEST)
    for name in mnist_c.NAMES:
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "test_images.npy", test.images[..., None])
        np.save(tmp_path / name / "test_labels.npy", test.labels)
    monkeypatch.setenv("MNIST_C", str(tmp_path))
    monkeypatch.setattr(robustness, "IMAGES", 10)
    written: dict[str, Any] = {}
    monkeypatch.setattr(benchmarks, "write", written.__setitem__)
    robustness.main("--held-out")
    assert list(written) == ["robustness", "robustness_held_out", "robustness_mnist_c"]
    assert len(written["robustness"]["cells"]) == 3 * len(CORRUPTIONS)
    published = written["robustness_mnist_c"]
    assert published["archive_sha256"] is None
    assert [cell["images"] for cell in published["cells"]] == 15 * [len(test)]
    assert published["cells"][0]["with"] == written["robustness"]["clean"]["with"]


def test_changes_of_scores_are_counted() -> None:
    tree = {"a": [1, {"b": 2.5}], "c": "x"}
    assert rounding.count(tree) == 3
    assert rounding.changed(tree, {"a": [1, {"b": 2.5}], "c": "x"}) == 0
    assert rounding.changed(tree, {"a": [2, {"b": 2.25}], "c": "x"}) == 2
    assert rounding.changed(tree, {"a": [1], "c": "x"}) == 1


def test_deviations_have_the_given_size_and_leave_probabilities() -> None:
    probabilities = np.full((1000, 10), 0.1, np.float32)
    ((moved, digitness),) = rounding.deviate([[probabilities, np.full(1000, 0.5, np.float32)]], 1e-3, 0)
    assert np.log(moved / 0.1).std() == pytest.approx(1e-3, rel=0.1)
    assert np.log(digitness / (1 - digitness)).std() == pytest.approx(1e-3, rel=0.1)
    assert moved.sum(axis=1) == pytest.approx(np.ones(1000), abs=1e-5)


@pytest.mark.slow
def test_scores_stay_with_small_deviations_and_change_with_large_ones(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(rounding, "DEVIATIONS", (1e-9, 10.0))
    monkeypatch.setattr(rounding, "REPEATS", 1)
    written: dict[str, Any] = {}
    monkeypatch.setattr(benchmarks, "write", lambda name, results: written.update(results))
    rounding.main("--save", str(tmp_path / "outputs.npz"))
    assert not written
    rounding.main("--compare", str(tmp_path / "outputs.npz"))
    for row in written.values():
        assert row["values"] > 1000
        assert row["other processor"] == {"changed": 0, "largest difference": {"probability": 0, "digitness": 0}}
        assert 0 < row["not optimised"]["largest difference"]["probability"] < 1e-3
        assert row["deviation 1e-09"]["changed"] == [0]
        assert row["deviation 10"]["changed"][0] > 100


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_private_memory_is_without_mapped_files(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").touch()
    (tmp_path / "pipeline/hold.py").write_text(
        "import time\nimport numpy as np\n"
        "own = np.ones(80_000_000, np.uint8)\n"
        "mapped = np.memmap('file', np.uint8, 'r').sum()\n"
        "time.sleep(1)\n"
    )
    np.ones(160_000_000, np.uint8).tofile(tmp_path / "file")
    found: stages.Stages = {}
    done = threading.Event()
    watcher = threading.Thread(target=stages.watch, args=(found, done), daemon=True)
    watcher.start()
    subprocess.run([sys.executable, "-m", "pipeline.hold"], cwd=tmp_path, check=True)
    done.set()
    watcher.join()
    assert 80 <= found["hold"]["private_mb"] < 160
    assert 240 <= found["hold"]["peak_mb"] < 320
    assert 1 <= found["hold"]["seconds"] < 20


def test_stages_are_recognised_by_their_command_lines() -> None:
    assert stages.stage_of(["python", "-m", "pipeline.train", "cnn"]) == "train@cnn"
    assert stages.stage_of(["/venv/bin/python", "-m", "pipeline.report"]) == "report"
    assert stages.stage_of(["python", "-m", "dvc", "repro"]) is None
    assert stages.stage_of(["sh", "-c", "python -m pipeline.report"]) is None
    assert stages.stage_of([]) is None


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks/results").glob("*.json")), ids=lambda path: path.name)
def test_results_name_machine_and_commit(file: Path) -> None:
    content = json_file.read(file)
    assert content.keys() == {"machine", "commit", "results"}
    assert {"cpu", "threads", "torch"} <= content["machine"].keys()


def test_results_are_written_with_machine_and_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(benchmarks, "RESULTS", tmp_path)
    benchmarks.write("x", {"cnn": 1})
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["results"] == {"cnn": 1}
    assert content["machine"]["cores"]
    assert content["commit"]


@pytest.mark.parametrize("name", ["copies", "large", "scaling"])
def test_options_are_taken(name: str) -> None:
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", "--help"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0
    assert b"usage" in done.stdout


def test_of_each_published_recipe_the_fastest_way_to_run_it_is_drawn() -> None:
    seconds = {"cnn": 3.0, "cnn, free": 2.0, "cnn, one thread": 9.0, "other": 5.0, "other, free": 4.0, "third": 1.0}
    recipes = {name: {"1": [(value, 0.99)]} for name, value in seconds.items()}
    assert set(draw.shown(recipes)) == {"cnn", "cnn, one thread", "other, free", "third"}
