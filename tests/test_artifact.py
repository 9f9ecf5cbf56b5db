import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline import artifact
from pipeline.artifact import Classifier
from pipeline.errors import InputError
from tests.conftest import ROOT


def model(output: str = artifact.OUTPUT) -> onnx.ModelProto:
    """Return a model whose digit is the brightest of the first ten pixels."""
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Slice", ["flat", "zero", "ten", "one"], ["ten pixels"]),
        helper.make_node("Softmax", ["ten pixels"], [output]),
    ]
    numbers = {"zero": 0, "ten": 10, "one": 1}
    constants = [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in numbers.items()]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 10])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_round_trip(tmp_path: Path, random_images: np.ndarray) -> None:
    artifact.save(tmp_path, model(), {"name": "brightest"})
    classifier = Classifier.load(tmp_path)
    many = np.tile(random_images, (23, 1, 1, 1))  # more than one batch
    assert np.array_equal(classifier.predict(many), many[:, 0, 0, :10].argmax(axis=1))
    assert classifier.probabilities(many).shape == (1150, 10)
    assert classifier.predict(many[:0]).shape == (0,)
    assert classifier.card["name"] == "brightest"
    assert classifier.card["bytes"] == (tmp_path / "model.onnx").stat().st_size


def test_nothing_to_read() -> None:
    """An empty batch does not get through what tidies images in the shipped model, and need not."""
    none = np.zeros((0, 1, 28, 28), np.float32)
    shipped = Classifier.load(ROOT / "models/best")
    assert [found.shape for found in shipped.judge(none)] == [(0, 10), (0,)]
    assert shipped.predict(none).shape == (0,)


def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    """Converters list the operator sets in a chance order."""
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 1)]
    for folder, order in (("one", opsets), ("other", opsets[::-1])):
        listed = model()
        del listed.opset_import[:]
        listed.opset_import.extend(order)
        artifact.save(tmp_path / folder, listed, {})
    assert (tmp_path / "one/model.onnx").read_bytes() == (tmp_path / "other/model.onnx").read_bytes()


def test_refuses_images_of_another_form(tmp_path: Path, random_images: np.ndarray) -> None:
    artifact.save(tmp_path, model(), {})
    classifier = Classifier.load(tmp_path)
    for wrong in (random_images[:, 0], random_images.astype(np.float64), random_images * 255, random_images * np.nan):
        with pytest.raises(ValueError, match="expected"):
            classifier.predict(wrong)


def test_refuses_a_damaged_model(tmp_path: Path) -> None:
    artifact.save(tmp_path, model(), {})
    content = bytearray((tmp_path / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"model.onnx: expected SHA-256 \w{64}, found \w{64}"):
        Classifier.load(tmp_path)


def test_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model.onnx not found. Run `dvc repro`"):
        Classifier.load(tmp_path)
    artifact.save(tmp_path, model(), {})
    for wrong in ("", "[]", json.dumps({"name": "x"})):
        (tmp_path / "model.json").write_text(wrong)
        with pytest.raises(InputError, match="expected the JSON of a model"):
            Classifier.load(tmp_path)


def test_an_exporter_with_another_interface_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected input and output"):
        artifact.save(tmp_path, model("scores"), {})
    assert not (tmp_path / "model.onnx").exists()
