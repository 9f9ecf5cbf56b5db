import numpy as np
import onnx
import pytest
import torch
from torch import nn

from benchmarks import ood
from benchmarks.ood import Outputs
from digits.interface import DIGITNESS, PROBABILITIES
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import to_onnx
from pipeline.onnx_graph.graph import add_output


def outputs(rng: np.random.Generator, labels: np.ndarray, noise: float) -> Outputs:
    """Return outputs whose features and logits point to `labels`, more or less."""
    features = 3 * np.eye(10)[labels] + noise * rng.standard_normal((len(labels), 10))
    return Outputs(2 * features, features, np.full(len(labels), 1 - noise / 10))


@pytest.fixture(scope="module")
def fitted() -> dict[str, ood.Score]:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 10
    return ood.methods(outputs(rng, labels, 0.3), labels)


def test_every_method_scores_digits_higher_than_outliers(fitted: dict[str, ood.Score]) -> None:
    rng = np.random.default_rng(1)
    digits = outputs(rng, np.arange(100) % 10, 0.3)
    nothing = Outputs(np.zeros((50, 10)), np.full((50, 10), -1.0), np.full(50, 0.1))
    assert set(fitted) == {"digitness", "max_probability", "energy", "mahalanobis", "knn"}
    for score in fitted.values():
        assert score(digits).shape == (100,)
        assert score(digits).min() > score(nothing).max()


def test_the_score_of_the_maximum_probability_is_its_log_odds(fitted: dict[str, ood.Score]) -> None:
    logits = np.array([[2.0, 1.0, 0.5], [9.0, 1.0, 3.0]])
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).max(axis=1)
    found = fitted["max_probability"](Outputs(logits, logits, np.zeros(2)))
    assert np.allclose(found, np.log(probabilities / (1 - probabilities)))


def test_logits_and_features_are_those_of_the_network(digits: LabelledImages, tmp_path) -> None:
    torch.manual_seed(0)
    body, last = nn.Sequential(nn.Flatten(), nn.Linear(784, 6), nn.ReLU()), nn.Linear(6, 10)
    classifier = to_onnx(nn.Sequential(body, last, nn.Softmax(dim=1)), PROBABILITIES)
    detector = to_onnx(nn.Sequential(nn.Flatten(), nn.Linear(784, 1), nn.Sigmoid(), nn.Flatten(0)), DIGITNESS)
    onnx.save(add_output(classifier, detector, "ood_"), tmp_path / "model.onnx")
    found = ood.Model(tmp_path / "model.onnx", 1)(digits.images[:30])
    with torch.no_grad():
        features = body(torch.from_numpy(digits.first(30).scaled()))
        assert np.allclose(found.features, features.numpy(), atol=1e-4)
        assert np.allclose(found.logits, last(features).numpy(), atol=1e-4)
    assert found.digitness.shape == (30,)
