from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime
import pytest
from sklearn.pipeline import Pipeline

from digits.model import Classifier, save
from pipeline.classifiers import logreg, random_forest, svm
from pipeline.datasets.arrays import LabelledImages
from pipeline.training import estimators

MODELS = {
    "logreg": logreg.build(C=1.0, max_iter=200),
    "random_forest": random_forest.build(n_estimators=30, max_features=28, min_samples_leaf=1),
    "svm": svm.build(components=30, C=5.0, gamma=0.03),
}


FEATURES = {784: "pixels", 512: "gradients"}


@pytest.fixture(autouse=True, scope="module")
def exported_once() -> Iterator[None]:
    """Export each kind of features only once: it takes seconds."""
    with mock.patch.object(estimators, "to_onnx", cache(estimators.to_onnx)):
        yield


def shipped(model: Pipeline, folder: Path, temperature: float) -> Classifier:
    save(folder, estimators.export(model, FEATURES[model.n_features_in_], temperature), {})
    return Classifier.load(folder)


@pytest.mark.parametrize("features", FEATURES.values())
@pytest.mark.parametrize("name", MODELS)
def test_onnx_gives_what_scikit_learn_gives(name: str, features: str, digits: LabelledImages, tmp_path: Path) -> None:
    model = MODELS[name].fit(estimators.rows(digits.first(1000), features), digits.labels[:1000])
    images = LabelledImages(digits.images[1000:], digits.labels[1000:])
    rows = estimators.rows(images, features)
    plain = model.predict_proba(rows) if hasattr(model, "predict_proba") else np.exp(model.decision_function(rows))
    for temperature in (1.0, 1.5):
        expected = plain ** (1 / temperature)
        expected /= expected.sum(axis=1, keepdims=True)
        found = estimators.probabilities(model, features, temperature, images)
        assert np.abs(found - expected).max() < (2e-5 if temperature == 1 else 2e-3)  # no probability is quite 0
    expected, found = found, shipped(model, tmp_path, temperature).probabilities(images.scaled())
    assert np.array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    assert np.abs(found - expected).max() < 2e-5
    assert (found.argmax(axis=1) == images.labels).mean() > 0.9


def test_forest_thresholds_that_float32_would_round_up(tmp_path: Path) -> None:
    """Halfway between 3/255 and 5/255 lies 4/255, and float32 decides on which side of it a pixel 4/255 falls."""
    labels = (np.arange(200) % 10).astype(np.uint8)
    images = np.zeros((200, 28, 28), np.uint8)
    images[:, 5, 5] = 1 + 2 * labels
    model = random_forest.build(n_estimators=5, max_features=512, min_samples_leaf=1)
    model.fit(estimators.rows(LabelledImages(images, labels), "pixels"), labels)
    asked = np.zeros((256, 28, 28), np.uint8)
    asked[:, 5, 5] = np.arange(256)
    asked = LabelledImages(asked, np.zeros(256, np.uint8))
    expected = estimators.probabilities(model, "pixels", 1.0, asked)
    session = onnxruntime.InferenceSession(estimators.export(model, "pixels", 1.0).SerializeToString())
    assert np.allclose(session.run(None, {"images": asked.scaled()})[0], expected, atol=1e-6)


def test_learning_curve_grows_with_the_images(run_of) -> None:
    run = run_of()
    estimators.fit(logreg.build(C=0.1, max_iter=200), run, features="pixels")
    lines = (run.curves / "plots/metrics/validation/accuracy.tsv").read_text().split()
    assert lines[::2] == ["step", "62", "250", "1000"]
    accuracies = [float(value) for value in lines[3::2]]
    assert max(accuracies) == accuracies[-1] > min(accuracies)
    assert accuracies[-1] > 0.9


def test_a_forest_that_is_too_little_sure_of_itself_is_calibrated(run_of) -> None:
    run = run_of()
    model = random_forest.build(n_estimators=30, max_features=28, min_samples_leaf=1)
    fitted = estimators.fit(model, run, features="gradients")
    assert fitted.facts["temperature_kept"]
    assert fitted.facts["temperature"] < 1
    assert fitted.facts["log_loss_with"] < fitted.facts["log_loss_without"]
