import numpy as np
import onnx
import pytest
import torch

from digits.model import Classifier
from pipeline import artifact
from pipeline.datasets.arrays import LabelledImages
from pipeline.ood import outliers
from pipeline.params import Gate
from pipeline.training import gate
from tests.test_artifact import model


@pytest.fixture(scope="module")
def learned(digits: LabelledImages) -> gate.Learned:
    others = nondigits.draw(700, digits.images, digits.labels, seed=1)
    settings = Gate(nondigits=700, epochs=4, width=6, rejected=0.02)
    torch.manual_seed(0)
    return gate.fit(digits.images[:1000], others[:600], (digits.images[1000:], others[600:]), settings)


def test_rejects_most_of_what_is_no_digit(learned: gate.Learned) -> None:
    assert learned.facts["rejected_digits"] <= 0.02
    assert learned.facts["rejected_others"] > 0.5


def test_stands_beside_a_model_and_changes_nothing(learned: gate.Learned, tmp_path, digits: LabelledImages) -> None:
    artifact.save(tmp_path / "alone", model(), {})
    artifact.save(tmp_path / "both", gate.beside(model(), learned.model), {"gate": learned.facts})
    alone, both = Classifier.load(tmp_path / "alone"), Classifier.load(tmp_path / "both")
    images = LabelledImages(digits.images[1000:1300], digits.labels[1000:1300]).scaled()
    probabilities, digitness = both.judge(images)
    assert np.array_equal(probabilities, alone.probabilities(images))
    assert digitness.shape == (300,)
    assert ((digitness >= 0) & (digitness <= 1)).all()
    assert both.threshold == learned.facts["threshold"] > 0
    assert (digitness < both.threshold).mean() < 0.1
    assert alone.threshold == 0
    assert (alone.judge(images)[1] == 1).all()
    assert [output.name for output in onnx.load(tmp_path / "both/model.onnx").graph.output] == [
        "probabilities",
        "digitness",
    ]


def test_onnx_says_what_torch_says(learned: gate.Learned, tmp_path, digits: LabelledImages) -> None:
    torch.manual_seed(1)
    network = gate.build(4).eval()
    artifact.save(tmp_path, gate.beside(model(), gate.to_onnx(gate.Digitness(network, 2.0), "digitness")), {})
    images = digits.first(50).scaled()
    with torch.no_grad():
        logits = network(torch.from_numpy(images)).numpy()
    expected = 1 / (1 + np.exp((logits[:, 0] - logits[:, 1]) / 2))
    assert np.allclose(Classifier.load(tmp_path).judge(images)[1], expected, atol=1e-5)
