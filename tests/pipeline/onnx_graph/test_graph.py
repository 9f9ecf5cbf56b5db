from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.robustness import predict, without
from digits.model import OUTPUT, Classifier, save
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import to_onnx
from pipeline.robustness.canonicalize import TIDY
from pipeline.robustness.corruptions import CORRUPTIONS, corrupt
from pipeline.training import front


def test_onnx_tidies_as_torch_does(digits: LabelledImages, random_images: np.ndarray, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval()
    bare = to_onnx(nn.Sequential(network, nn.Softmax(dim=1)), OUTPUT)
    shipped = front.before(bare, front.export())
    assert np.array_equal(predict(without(shipped))(random_images), predict(bare)(random_images))
    save(tmp_path, shipped, {})
    model = Classifier.load(tmp_path)
    for name in CORRUPTIONS:
        spoilt = corrupt(name, digits.images[:20], 2, 1)[:, None] / np.float32(255)
        assert_same(network, model, spoilt)
    assert_same(network, model, random_images)
    inverted = torch.from_numpy(1 - digits.scaled()[:20])
    assert np.abs(model.probabilities(inverted.numpy()) - network(inverted).softmax(1).detach().numpy()).max() > 0.1


def assert_same(network: nn.Module, model: Classifier, images: np.ndarray) -> None:
    with torch.no_grad():
        expected = network(TIDY(torch.from_numpy(images))).softmax(1).numpy()
    assert np.abs(model.probabilities(images) - expected).max() < 1e-5
