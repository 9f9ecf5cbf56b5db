from collections.abc import Callable, Iterator
from functools import cache
from unittest import mock

import numpy as np
import onnxruntime
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from digits.errors import InputError
from digits.interface import PROBABILITIES
from pipeline.classifiers import logreg, random_forest, svm
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import DIGIT
from pipeline.params import Params
from pipeline.training import TrainingContext, estimators

MODELS = {
    "logreg": logreg.build(DIGIT, 10, C=1.0, max_iter=200),
    "random_forest": random_forest.build(DIGIT, 10, n_estimators=30, max_features=28, min_samples_leaf=1),
    "svm": svm.build(DIGIT, 10, components=30, C=5.0, gamma=0.03),
}
FEATURES = {784: "pixels", 512: "hog"}


@pytest.fixture(autouse=True, scope="module")
def exported_once() -> Iterator[None]:
    """Export each kind of features only once: it takes seconds."""
    with mock.patch.object(estimators, "to_onnx", cache(estimators.to_onnx)):
        yield


def infer(model: Pipeline, coupling: estimators.Coupling, temperature: float, images: LabelledImages) -> np.ndarray:
    """Return the probabilities of the exported model."""
    exported = estimators.export(model, FEATURES[model.n_features_in_], coupling, temperature, DIGIT)
    session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([PROBABILITIES], {"images": images.scaled()})[0]


@pytest.mark.parametrize("features", FEATURES.values())
@pytest.mark.parametrize("name", MODELS)
def test_onnx_and_scikit_learn_give_the_same_probabilities(name: str, features: str, digits: LabelledImages) -> None:
    model = clone(MODELS[name]).fit(estimators.extract(digits.first(1000), features), digits.labels[:1000])
    images = LabelledImages(digits.images[1000:], digits.labels[1000:])
    rows = estimators.extract(images, features)
    coupling = (3.0, 1.0) if name == "svm" else None
    plain = coupled(model.decision_function(rows), 3.0) if coupling else model.predict_proba(rows)
    for temperature in (1.0, 1.5):
        expected = plain ** (1 / temperature)
        expected /= expected.sum(axis=1, keepdims=True)
        found = estimators.predict_proba(model, features, coupling, temperature, images)
        assert np.abs(found - expected).max() < (2e-5 if temperature == 1 else 2e-3)  # probabilities are at least 1e-6
    expected, found = found, infer(model, coupling, temperature, images)
    assert np.abs(found - expected).max() < 2e-5
    first, second = np.sort(expected, axis=1)[:, :-3:-1].T
    clear = first - second > 1e-6  # two digits with equally many trees differ in their last bits
    assert clear.mean() > 0.95
    assert np.array_equal(found.argmax(axis=1)[clear], expected.argmax(axis=1)[clear])
    assert (found.argmax(axis=1) == images.labels).mean() > 0.9


def coupled(decisions: np.ndarray, slope: float) -> np.ndarray:
    """Return, for each digit, the product of its probabilities of winning against each of the others."""
    products, pair = np.ones((len(decisions), 10)), 0
    for first in range(10):
        for second in range(first + 1, 10):
            win = 1 / (1 + np.exp(-slope * decisions[:, pair]))
            products[:, first] *= win
            products[:, second] *= 1 - win
            pair += 1
    return products


def test_forest_thresholds_are_not_rounded_up_to_float32() -> None:
    """Halfway between 3/255 and 5/255 is 4/255; float32 decides on which side of it a pixel of 4/255 is."""
    labels = (np.arange(200) % 10).astype(np.uint8)
    images = np.zeros((200, 28, 28), np.uint8)
    images[:, 5, 5] = 1 + 2 * labels
    model = random_forest.build(DIGIT, 10, n_estimators=5, max_features=512, min_samples_leaf=1)
    model.fit(estimators.extract(LabelledImages(images, labels), "pixels"), labels)
    all_values = np.zeros((256, 28, 28), np.uint8)
    all_values[:, 5, 5] = np.arange(256)
    asked = LabelledImages(all_values, np.zeros(256, np.uint8))
    expected = estimators.predict_proba(model, "pixels", None, 1.0, asked)
    assert np.allclose(infer(model, None, 1.0, asked), expected, atol=1e-6)


def test_the_learning_curve_has_three_numbers_of_images(context_of: Callable[..., TrainingContext]) -> None:
    context = context_of()
    estimators.fit(logreg.build(DIGIT, 10, C=0.1, max_iter=200), context, features="pixels", max_images=10_000)
    lines = (context.curves / "plots/metrics/validation/error.tsv").read_text().split()
    assert lines[::2] == ["step", "62", "250", "1000"]
    errors = [float(value) for value in lines[3::2]]
    assert min(errors) == errors[-1] < max(errors)
    assert errors[-1] < 0.1


def test_an_underconfident_forest_is_calibrated(context_of: Callable[..., TrainingContext]) -> None:
    model = random_forest.build(DIGIT, 10, n_estimators=30, max_features=28, min_samples_leaf=1)
    fitted = estimators.fit(model, context_of(), features="hog", max_images=10_000)
    assert fitted.metadata["temperature_kept"]
    assert fitted.metadata["temperature"] < 1
    assert fitted.metadata["log_loss_with"] < fitted.metadata["log_loss_without"]
    assert "coupling_slope" not in fitted.metadata


def test_augmentation_of_batches_is_an_error(context_of: Callable[..., TrainingContext], settings: Params) -> None:
    with pytest.raises(
        InputError, match=r"params\.yaml: models\.model\.augmentation: expected none, or training_set: augmented"
    ):
        estimators.fit(
            MODELS["logreg"],
            context_of(augmentation=settings.augmentation["standard"]),
            features="pixels",
            max_images=10_000,
        )


def test_hyperparameters_that_need_more_images_are_an_error(
    context_of: Callable[..., TrainingContext], digits: LabelledImages
) -> None:
    model = svm.build(DIGIT, 10, components=90, C=5.0, gamma=1.0)
    with pytest.raises(InputError, match="model: scikit-learn cannot fit it to 80 images: n_components=90"):
        estimators.fit(model, context_of(train=digits.first(80)), features="pixels", max_images=10_000)


def test_a_sample_that_fits_in_memory_is_fitted_and_named(
    context_of: Callable[..., TrainingContext], digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        "sampled_images"
        not in estimators.fit(MODELS["logreg"], context_of(), features="pixels", max_images=10_000).metadata
    )
    monkeypatch.setattr(estimators, "MAX_VALUES", 300 * 784)
    fitted = estimators.fit(MODELS["logreg"], context_of(), features="pixels", max_images=10_000)
    assert fitted.metadata["sampled_images"] == 300
    few = estimators.fit(MODELS["logreg"], context_of(), features="pixels", max_images=200)
    assert few.metadata["sampled_images"] == 200
    drawn = estimators.sample(digits, 300, 1)
    assert np.bincount(drawn.labels).min() >= 28
    probabilities = fitted.predict_proba(digits)  # in blocks
    assert probabilities.shape == (len(digits), 10)
    assert np.allclose(fitted.predict_proba(digits.first(7)), probabilities[:7])
    assert (probabilities.argmax(axis=1) == digits.labels).mean() > 0.8
