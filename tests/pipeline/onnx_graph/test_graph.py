from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from digits.interface import DIGITNESS, PROBABILITIES
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import to_onnx
from pipeline.onnx_graph.graph import add_output, prepend
from pipeline.ood.detector import Digitness
from pipeline.robustness.canonicalize import Canonicalizer
from pipeline.robustness.corruptions import CORRUPTIONS, corrupt
from pipeline.robustness.denoiser import Denoiser
from pipeline.training import small_cnn


def infer(model: onnx.ModelProto, images: np.ndarray, *outputs: str) -> list[np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(list(outputs) or None, {"images": images})


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Softmax(dim=1)).eval()


@pytest.fixture(scope="module")
def classifier(network: nn.Module) -> onnx.ModelProto:
    return to_onnx(network, PROBABILITIES)


@pytest.fixture(scope="module")
def canonicalizer() -> nn.Module:
    """Return a canonicalizer that replaces every image by what an untrained denoiser makes of it."""
    torch.manual_seed(2)
    return Canonicalizer(Denoiser(4), threshold=-1000).eval()


@pytest.fixture(scope="module")
def joined(classifier: onnx.ModelProto, canonicalizer: nn.Module) -> onnx.ModelProto:
    return prepend(classifier, to_onnx(canonicalizer, "canonical"), "canonicalizer_")


def test_the_joined_graph_canonicalizes_as_torch_does(
    joined: onnx.ModelProto,
    network: nn.Module,
    canonicalizer: nn.Module,
    digits: LabelledImages,
    random_images: np.ndarray,
) -> None:
    batches = [corrupt(kind, digits.images[:20], 2, 1)[:, None] / np.float32(255) for kind in CORRUPTIONS.values()]
    for images in (*batches, random_images):
        with torch.no_grad():
            expected = network(canonicalizer(torch.from_numpy(images))).numpy()
        assert np.abs(infer(joined, images)[0] - expected).max() < 1e-5
    inverted = 1 - digits.scaled()[:20]
    assert np.abs(infer(joined, inverted)[0] - network(torch.from_numpy(inverted)).detach().numpy()).max() > 0.1


def test_prepending_changes_no_argument(classifier: onnx.ModelProto, canonicalizer: nn.Module) -> None:
    before = classifier.SerializeToString(deterministic=True)
    first = to_onnx(canonicalizer, "canonical")
    prefixed = first.SerializeToString(deterministic=True)
    found = prepend(classifier, first, "canonicalizer_")
    assert classifier.SerializeToString(deterministic=True) == before
    assert first.SerializeToString(deterministic=True) == prefixed
    assert [value.name for value in found.graph.input] == ["images"]
    assert [value.name for value in found.graph.output] == [PROBABILITIES]


def test_an_added_output_leaves_the_first_unchanged(
    joined: onnx.ModelProto, digits: LabelledImages, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    other = small_cnn.build(4, 11).eval()
    model = add_output(joined, to_onnx(Digitness(other, 2.0), DIGITNESS), "ood_")
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == [PROBABILITIES, DIGITNESS]
    images = digits.scaled()[:300]
    probabilities, digitness = infer(model, images)
    assert np.array_equal(probabilities, infer(joined, images)[0])
    with torch.no_grad():
        expected = Digitness(other, 2.0)(torch.from_numpy(images)).numpy()
    assert digitness.shape == (300,)
    assert np.allclose(digitness, expected, atol=1e-5)
    assert np.array_equal(infer(model, images, DIGITNESS)[0], digitness)


def test_a_prepended_graph_precedes_both_outputs(
    classifier: onnx.ModelProto, canonicalizer: nn.Module, digits: LabelledImages
) -> None:
    """As in the stage `package`: classifier and OOD detector receive canonicalized images."""
    torch.manual_seed(1)
    both = add_output(classifier, to_onnx(Digitness(small_cnn.build(4, 11).eval(), 2.0), DIGITNESS), "ood_")
    model = prepend(both, to_onnx(canonicalizer, "canonical"), "canonicalizer_")
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == [PROBABILITIES, DIGITNESS]
    images = 1 - digits.scaled()[:100]
    with torch.no_grad():
        canonical = canonicalizer(torch.from_numpy(images)).numpy()
    for found, expected, uncorrected in zip(
        infer(model, images), infer(both, canonical), infer(both, images), strict=True
    ):
        assert np.abs(found - expected).max() < 1e-5
        assert np.abs(found - uncorrected).max() > 1e-4
