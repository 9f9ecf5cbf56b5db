"""The whole pipeline on scikit-learn's digits in a copy of this project: outputs of the stages, and what DVC runs."""

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from dvc.repo import Repo
from PIL import Image

from digits.errors import InputError
from digits.model import Classifier
from digits.recognise import classify
from digits.segmentation import Glyph
from pipeline import cross_validate, train
from pipeline.datasets import arrays, records
from tests.conftest import IDENTITY, ROOT, STAGES, call, set_params

MODELS = ("svm", "cnn")
pytestmark = pytest.mark.slow


def ran(output: str) -> set[str]:
    """Return the stages that `dvc repro` ran, from what it printed."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def test_queued_sweep_over_a_classical_and_a_neural_model(own_project: Path) -> None:
    call(own_project, "dvc", "exp", "run", "--queue", "-S", "models.svm.C=0.01", "evaluate@svm")
    call(own_project, "dvc", "exp", "run", "--queue", "-S", "models.cnn.dropout=0.3", "train@cnn")
    call(own_project, "dvc", "exp", "run", "--run-all")
    found = json.loads(call(own_project, "dvc", "exp", "show", "--json"))
    revisions = [entry["revs"][0] for entry in found[1]["experiments"]]
    experiments = [revision["data"] for revision in revisions]
    assert {e["params"]["params.yaml"]["data"]["models"]["svm"]["C"] for e in experiments} == {0.01, 5.0}
    assert {dropout(revision) for revision in revisions} == {0.0, 0.3}
    scores = {e["metrics"]["metrics/svm.json"]["data"]["test"]["log_loss"] for e in experiments}
    assert len(scores) == 2
    softer = next(revision["name"] for revision in revisions if dropout(revision) == 0.3)
    call(own_project, "dvc", "exp", "apply", softer)
    assert "dropout: 0.3" in (own_project / "params.yaml").read_text()
    assert not ran(call(own_project, "dvc", "repro", "train@cnn"))
    metadata = json.loads((own_project / "models/classifiers/cnn/classifier.json").read_text())
    assert metadata["hyperparameters"]["dropout"] == 0.3


def dropout(experiment: dict) -> float:
    """Return the dropout of the network in one of `dvc exp show --json`'s experiments."""
    return experiment["data"]["params"]["params.yaml"]["data"]["models"]["cnn"]["dropout"]


def test_a_hyperparameter_reruns_only_stages_of_its_model_and_the_report(own_project: Path) -> None:
    output = call(own_project, "dvc", "exp", "run", "--name", "softer", "-S", "models.svm.C=0.5")
    of_model = {f"{stage}@svm" for stage in ("train", "package", "evaluate", "cross_validate")}
    assert ran(output) == of_model | {"label_errors", "report"}  # label errors are found with this model
    changes = json.loads(call(own_project, "dvc", "metrics", "diff", "--json"))
    assert set(changes) == {"metrics/svm.json"}
    assert changes["metrics/svm.json"]["test.log_loss"]["diff"] != 0
    assert "softer" in call(own_project, "dvc", "exp", "show", "--csv")
    call(own_project, "git", "add", "-A")
    call(own_project, "git", *IDENTITY, "commit", "-qm", "softer")
    assert json.loads(call(own_project, "dvc", "metrics", "diff", "--json", "HEAD~1", "HEAD")) == changes


def test_a_rejection_threshold_repackages_and_retrains_nothing(own_project: Path) -> None:
    before = {name: (own_project / f"models/{name}/model.onnx").read_bytes() for name in MODELS}
    output = call(own_project, "dvc", "exp", "run", "-S", "ood.max_false_rejection_rate=0.05")
    expected = {f"{stage}@{name}" for stage in ("package", "evaluate") for name in MODELS} | {"report"}
    assert ran(output) == expected
    for name in MODELS:
        metadata = json.loads((own_project / f"models/{name}/model.json").read_text())
        assert 0.02 < metadata["validation_false_rejection_rate"] <= 0.05
        assert (own_project / f"models/{name}/model.onnx").read_bytes() != before[name]


def test_no_parameter_retrains_a_model_that_cannot_depend_on_it() -> None:
    """Training depends on the model's own entry, its augmentation policy, the seed and the runtime, and on data that
    depend on `dataset`, `split` and, for augmented training sets, the policy of these.
    """
    entries = yaml.safe_load((ROOT / "params.yaml").read_text())["models"]
    with Repo(str(ROOT)) as repo:
        stages = {stage.addressing: stage for stage in repo.index.stages}
        for name, entry in entries.items():
            keys = {key for dep in stages[f"train@{name}"].params for key in dep.params}
            assert keys == {f"models.{name}", f"augmentation.{entry['augmentation']}", "seed", "runtime"}
            upstream = {
                dep.def_path for dep in stages[f"train@{name}"].deps if dep.def_path.startswith(("data/", "models/"))
            }
            prepared = {"data/prepared/validation", "data/prepared/metadata.json"}
            assert upstream == prepared | {f"data/{entry['training_set']}/train"}
        for stage, keys in (
            ("preprocess", {"dataset", "folder", "seed", "split", "runtime"}),
            ("download", {"dataset", "folder"}),
        ):
            assert {key for dep in stages[stage].params for key in dep.params} == keys
        augment = {key for dep in stages["augment"].params for key in dep.params}
        assert augment == {"seed", "augment", "augmentation.standard", "runtime"}


def test_two_runs_leave_the_same_bytes(own_project: Path) -> None:
    """The second one in another folder, without caches, with another environment; a model of each library."""
    before = (own_project / "dvc.lock").read_text()
    shutil.rmtree(own_project / ".dvc/cache")
    (own_project.parent / "matplotlibrc").write_text("font.size: 20\n")
    environment = {
        **{"OMP_NUM_THREADS": "4", "OMP_THREAD_LIMIT": "1", "OMP_DYNAMIC": "true", "OPENBLAS_NUM_THREADS": "3"},
        **{"NPY_ENABLE_CPU_FEATURES": "AVX2", "LANG": "C", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"},
        "MATPLOTLIBRC": str(own_project.parent / "matplotlibrc"),
    }
    for folder in ("data/prepared", "data/augmented", "models", "plots/training", "plots/evaluation/cnn"):
        shutil.rmtree(own_project / folder)
    call(own_project, "git", "checkout", "data", "models", "plots")
    stages = (
        "preprocess",
        "augment",
        "generate_outliers",
        "train_canonicalizer",
        "train_ood",
        "train svm",
        "train cnn",
    )
    stages += ("package svm", "package cnn", "evaluate cnn")
    call(own_project, "python", "-m", "tests.in_one_process", *stages, **environment)
    call(own_project, "dvc", "commit", "--force", "--quiet")
    assert (own_project / "dvc.lock").read_text() == before
    assert not call(own_project, "git", "status", "--porcelain")


def test_a_new_model_is_a_file_and_an_entry(own_project: Path) -> None:
    (own_project / "pipeline/classifiers/naive_bayes.py").write_text(
        '"""Gaussian naive Bayes on pixels."""\n\n'
        "from sklearn.naive_bayes import GaussianNB\n"
        "from sklearn.pipeline import Pipeline, make_pipeline\n\n"
        "from pipeline.datasets.arrays import Shape\n"
        "from pipeline.training.estimators import fit\n\n"
        '__all__ = ["build", "fit"]\n\n\n'
        "def build(shape: Shape, classes: int, *, var_smoothing: float) -> Pipeline:\n"
        '    """Return the classifier."""\n'
        "    return make_pipeline(GaussianNB(var_smoothing=var_smoothing))\n"
    )
    entry = "{kind: naive_bayes, training_set: prepared, augmentation: none, "
    entry += "features: pixels, max_images: 9999, var_smoothing: 0.1}"
    set_params(own_project, {"models.bayes": entry})
    output = call(own_project, "dvc", "repro")
    of_model = {f"{stage}@bayes" for stage in ("train", "package", "evaluate", "cross_validate")}
    assert ran(output) == of_model | {"label_errors", "report"}
    board = json.loads((own_project / "results/leaderboard.json").read_text())
    assert "bayes" in [row["model"] for row in board["models"]]
    assert "bayes" in (own_project / "reports/index.html").read_text()


def test_stages_ran_as_dvc_runs_them(project: Path) -> None:
    stages = yaml.safe_load((project / "dvc.lock").read_text())["stages"].values()
    assert {stage["cmd"].replace("'", "") for stage in stages} == {f"python -m pipeline.{stage}" for stage in STAGES}


def test_every_stage_writes_its_outputs(project: Path) -> None:
    for name in MODELS:
        metrics = json.loads((project / f"metrics/{name}.json").read_text())
        assert {part: set(scores) for part, scores in metrics.items()} == {
            "validation": {"accuracy", "log_loss"},
            "test": {"accuracy", "precision", "recall", "f1", "log_loss", "ece", "errors", "false_rejection_rate"},
            "corrupted": {"accepted_and_correct", "accuracy", "coverage"},
        }
        with (project / f"plots/evaluation/{name}/predictions.csv").open() as file:
            rows = [line.strip().split(",") for line in file][1:]
        assert len(rows) == 360
        assert sum(actual != predicted for actual, predicted in rows) == metrics["test"]["errors"]
        assert metrics["test"]["accuracy"] == pytest.approx(1 - metrics["test"]["errors"] / 360, abs=1e-6)
        content = (project / f"models/{name}/model.onnx").read_bytes()
        metadata = json.loads((project / f"models/{name}/model.json").read_text())
        assert metadata["sha256"] == hashlib.sha256(content).hexdigest()
        assert str(project).encode() not in content
    for name in MODELS:
        assert json.loads((project / f"metrics/{name}.json").read_text())["test"]["accuracy"] > 0.88
        learning = json.loads((project / f"results/cross_validation/{name}.json").read_text())
        folds = [(fold["images"], fold["seed"], fold["fold"]) for fold in learning["folds"]]
        assert folds == [(images, seed, fold) for images in (300,) for seed in (42, 43) for fold in (1, 2)]
        mean = sum(fold["accuracy"] for fold in learning["folds"][-4:]) / 4
        assert learning["summary"][-1]["accuracy"] == pytest.approx(mean, abs=1e-6)
    found = json.loads((project / "results/label_errors.json").read_text())
    for split, count in (("train", 1197), ("validation", 240), ("test", 360)):
        rows = [entry["row"] for entry in found if entry["split"] == split]
        assert len(set(rows)) == len(rows) <= 10
        assert max(rows, default=0) < count
    assert all(entry["margin"] < 0 for entry in found)


def test_classifier_and_ood_detector_see_the_canonical_image(project: Path) -> None:
    images = arrays.load(project / arrays.TEST).scaled()[:50].copy()
    images[:, :, [0, 1, 2, 3, -4, -3, -2, -1]] = images[:, :, :, [0, 1, 2, 3, -4, -3, -2, -1]] = 0  # MNIST's margin
    for name in MODELS:
        classifier = Classifier.load(project / f"models/{name}")
        moved = np.roll(images, 3, axis=3)  # centred again by the canonicalizer
        for before, after in zip(classifier.infer(images), classifier.infer(moved), strict=True):
            differences = np.abs(after - before).reshape(len(images), -1).max(axis=1)
            assert (differences < 0.02).mean() > 0.8


def test_the_metric_of_rejection_is_what_the_reader_does(project: Path) -> None:
    """evaluate, the reader and the service share one rule, `Classifier.accept`."""
    for name in MODELS:
        classifier, test = Classifier.load(project / f"models/{name}"), arrays.load(project / arrays.TEST)
        candidates = classify(classifier, [Glyph(0, 0, np.ones((28, 28), bool))] * len(test), list(test.scaled()[:, 0]))
        rejected = np.mean([candidate.confidence == 0 for candidate in candidates])
        metrics = json.loads((project / f"metrics/{name}.json").read_text())
        assert metrics["test"]["false_rejection_rate"] == pytest.approx(rejected, abs=1e-6)


def test_the_winner_is_selected_on_validation(project: Path) -> None:
    board = json.loads((project / "results/leaderboard.json").read_text())
    accuracies = {
        name: json.loads((project / f"metrics/{name}.json").read_text())["validation"]["accuracy"] for name in MODELS
    }
    assert accuracies[board["winner"]] == max(accuracies.values())
    assert [row["model"] for row in board["models"]] == sorted(
        MODELS,
        key=lambda name: (
            -accuracies[name],
            next(row for row in board["models"] if row["model"] == name)["validation_log_loss"],
        ),
    )
    for file in ("model.onnx", "model.json"):
        best, winner = project / "models/best" / file, project / "models" / board["winner"] / file
        assert best.read_bytes() == winner.read_bytes()


def test_the_report_is_one_file_that_needs_no_network(project: Path) -> None:
    page = (project / "reports/index.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)" alt="([^"]+)"', page)
    assert len(pictures) == 12 + 6 * len(MODELS)
    assert all(base64.b64decode(data).startswith(b"\x89PNG") for data, _ in pictures)
    for name in MODELS:
        assert f'id="model-{name}"' in page
    for file in ("report.md", "model_card.md", "data_card.md"):
        for link in re.findall(r"\]\(([^)#]+)\)", (project / "reports" / file).read_text()):
            assert (project / "reports" / link).is_file(), f"{file}: {link}"


def test_second_repro_does_nothing_whatever_the_mirror(project: Path) -> None:
    assert not ran(call(project, "dvc", "repro"))
    assert not ran(call(project, "dvc", "repro", MNIST_MIRROR="/nowhere"))
    assert not call(project, "git", "status", "--porcelain")


def test_metrics_and_plots_are_readable(project: Path, tmp_path: Path) -> None:
    shown = json.loads(call(project, "dvc", "metrics", "show", "--json"))[""]["data"]
    assert set(shown) == {f"metrics/{name}.json" for name in MODELS}
    header, _, *rows = call(project, "dvc", "metrics", "show", "--md").strip().splitlines()
    assert len(rows) == len(MODELS)
    assert header.count("|") - 1 <= 14, "a table that a terminal can show"
    shown = call(project, "dvc", "plots", "show", "--json", "--out", str(tmp_path))
    plots = json.loads(shown[shown.index("{") :])  # after a warning about the models that this project lacks
    text = json.dumps(plots)
    assert "Confusion matrix of cnn" in text
    assert "Error rate versus epoch" in text
    assert "Accepted and correct versus severity of corruption" in text
    assert "svm/severity.csv" in text


def test_a_wrong_parameter_stops_the_stage_and_nothing_is_lost(own_project: Path) -> None:
    model = (own_project / "models/classifiers/svm/classifier.onnx").read_bytes()
    set_params(own_project, {"models.svm.C": "-1"})
    output = call(own_project, "dvc", "repro", fails=True)
    assert "params.yaml: models.svm: C: found -1 (int). Input should be greater than 0." in output
    assert "`git checkout metrics models/best reports results` the committed ones in git" in output
    assert "Traceback" not in output
    call(own_project, "git", "checkout", "params.yaml")
    call(own_project, "dvc", "checkout")
    call(own_project, "git", "checkout", "metrics", "models/best", "reports", "results")
    assert (own_project / "models/classifiers/svm/classifier.onnx").read_bytes() == model
    assert not ran(call(own_project, "dvc", "repro"))
    assert not call(own_project, "git", "status", "--porcelain")


WRONG = [
    (("threads: 1", "threads: two"), "runtime.threads: found 'two' (str). Input should be a valid integer"),
    (("seed: 42", "sead: 42"), "sead: unknown key. Did you mean 'seed'?"),
    (("seed: 42", "seed: 42\nseed: 43"), "duplicate key"),
]


@pytest.mark.parametrize(
    ("command", "change", "message"),
    [(command, *WRONG[0]) for command in STAGES if "svm" not in command]
    + [("download", *wrong) for wrong in WRONG[1:]],
)
def test_every_stage_refuses_wrong_parameters(
    project: Path, tmp_path: Path, command: str, change: tuple[str, str], message: str
) -> None:
    (tmp_path / "pipeline").symlink_to(project / "pipeline")
    (tmp_path / "digits").symlink_to(project / "digits")
    (tmp_path / "params.yaml").write_text((project / "params.yaml").read_text().replace(*change))
    output = call(tmp_path, "python", "-m", *f"pipeline.{command}".split(), fails=True)
    assert message in output
    assert "Traceback" not in output


def test_unknown_model_names_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = call(project, "python", "-m", "pipeline.evaluate", "vgg", fails=True)
    assert output.startswith("error: models/vgg/model.onnx not found")
    for stage in (train, cross_validate):
        with monkeypatch.context() as patch:
            patch.chdir(project)
            with pytest.raises(InputError, match=r"models\.vgg: no such model"):
                stage.main("vgg")


def test_download_without_mirrors_says_what_to_do(project: Path, tmp_path: Path) -> None:
    (tmp_path / "pipeline").symlink_to(project / "pipeline")
    (tmp_path / "digits").symlink_to(project / "digits")
    (tmp_path / "params.yaml").write_text(
        (project / "params.yaml").read_text().replace("dataset: digits", "dataset: mnist")
    )
    no_proxy = {"HTTPS_PROXY": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    output = call(tmp_path, "python", "-m", "pipeline.download", fails=True, MNIST_MIRROR=str(tmp_path), **no_proxy)
    for mirror in (str(tmp_path), *records.get("mnist").mirrors):
        assert mirror in output
    assert "make quickstart" in output
    assert "Traceback" not in output


def test_the_reader_uses_any_model_of_the_pipeline(project: Path, tmp_path: Path) -> None:
    images = np.load(project / "data/prepared/test/images.npy")
    labels = np.load(project / "data/prepared/test/labels.npy")
    paths = [str(tmp_path / f"{number}.png") for number in range(20)]
    for path, image in zip(paths, images, strict=False):
        Image.fromarray(image).save(path)
    found = json.loads(call(project, "python", "-m", "digits.cli", "--model", "models/svm", "--json", *paths))
    assert [entry["file"] for entry in found] == paths
    correct = [entry["text"] == str(label) for entry, label in zip(found, labels, strict=False)]
    assert sum(correct) >= 17
    for entry in found:
        assert entry["error"] is None
        for digit in entry["digits"]:  # none where this small detector rejects it
            assert digit["digit"] == int(np.argmax(digit["probabilities"]))
            assert digit["probability"] == max(digit["probabilities"])


def test_robustness_counts_what_is_accepted_and_correct(project: Path) -> None:
    for name in MODELS:
        found = json.loads((project / f"results/robustness/{name}.json").read_text())
        # no external digits: the models are trained on those
        assert set(found) == {"summary", "clean", "corruptions", "cells"}
        mean = np.mean([cell["accepted_and_correct"] for cell in found["cells"]])
        assert found["summary"]["all"]["accepted_and_correct"] == pytest.approx(mean, abs=1e-6)
        metrics = json.loads((project / f"metrics/{name}.json").read_text())
        assert metrics["corrupted"]["accepted_and_correct"] == found["summary"]["all"]["accepted_and_correct"]
        for cell in [*found["cells"], found["clean"]]:
            assert cell["accepted_and_correct"] <= min(cell["accuracy"], cell["coverage"])
        assert found["summary"]["all"]["accuracy"] < found["clean"]["accuracy"]
    assert (project / "plots/corrupt/samples.png").is_file()
