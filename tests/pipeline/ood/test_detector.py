from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.metrics import roc_auc_score

from digits.interface import DIGITNESS
from pipeline import runtime
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import to_onnx
from pipeline.ood import detector, outliers
from pipeline.ood.detector import FittedDetector
from pipeline.params import Params
from pipeline.training import small_cnn


@pytest.fixture(scope="module")
def fit(digits: LabelledImages, settings: Params) -> Callable[[], FittedDetector]:
    """Return a function that fits a small detector to 1,000 digits and 600 outliers."""
    generated = outliers.generate(700, digits.images, digits.labels, seed=1)
    how = settings.ood.detector.model_copy(update={"steps": 60, "width": 6, "batch_size": 64})
    held_out = (digits.images[1000:], generated[600:])

    def run() -> FittedDetector:
        runtime.seed(0)
        restored = digits.at(np.arange(200))
        return detector.fit(digits.first(1000), restored, generated[:600], held_out, how, settings.augmentation["ood"])

    return run


@pytest.fixture(scope="module")
def fitted(fit: Callable[[], FittedDetector]) -> FittedDetector:
    return fit()


def infer(model: FittedDetector, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([DIGITNESS], {"images": images})[0]


def test_outliers_have_a_lower_digitness_than_digits(fitted: FittedDetector) -> None:
    of_digits, of_outliers = fitted.digitness
    threshold = np.quantile(of_digits, 0.02)
    assert (of_outliers < threshold).mean() > 0.5
    assert roc_auc_score(np.repeat([1, 0], [437, 100]), np.concatenate(fitted.digitness)) > 0.9


def test_digitness_is_that_of_the_onnx_file(fitted: FittedDetector, digits: LabelledImages) -> None:
    found = infer(fitted.model, digits.at(np.arange(1000, 1437)).scaled())
    assert found.shape == (437,)
    assert np.allclose(found, fitted.digitness[0], atol=1e-5)
    assert ((found >= 0) & (found <= 1)).all()
    assert 0.05 < fitted.metadata["temperature"] < 20


def test_the_same_seed_gives_the_same_bytes(fit: Callable[[], FittedDetector], fitted: FittedDetector) -> None:
    again = fit()
    assert again.model.SerializeToString(deterministic=True) == fitted.model.SerializeToString(deterministic=True)
    assert again.metadata == fitted.metadata


def test_onnx_and_torch_give_the_same_digitness(digits: LabelledImages) -> None:
    torch.manual_seed(1)
    network = small_cnn.build(4, 11).eval()
    model = to_onnx(detector.Digitness(network, 2.0), DIGITNESS)
    images = digits.first(50).scaled()
    with torch.no_grad():
        logits = network(torch.from_numpy(images)).double().numpy()
    odds = np.exp(logits[:, :10]).sum(axis=1) / np.exp(logits[:, 10])  # of any digit against an outlier
    expected = 1 / (1 + odds**-0.5)
    assert np.allclose(infer(model, images), expected, atol=1e-5)
