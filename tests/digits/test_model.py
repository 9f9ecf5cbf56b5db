import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from digits.errors import InputError
from digits.model import Acceptance, Classifier, shipped_model
from tests.digits.conftest import ROOT

ACCEPTANCE = {"min_digitness": 0.1}


def save_model(folder: Path, **metadata: Any) -> None:
    """Save a model that predicts the brightest of the first ten pixels, whose digitness is that of the eleventh."""
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Slice", ["flat", "zero", "ten", "one"], ["ten pixels"]),
        helper.make_node("Softmax", ["ten pixels"], ["probabilities"]),
        helper.make_node("Gather", ["flat", "index"], ["digitness"], axis=1),
    ]
    numbers = {"zero": 0, "ten": 10, "one": 1}
    constants = [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in numbers.items()]
    constants.append(helper.make_tensor("index", TensorProto.INT64, [], [10]))
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10]),
            helper.make_tensor_value_info("digitness", TensorProto.FLOAT, ["n"]),
        ],
        constants,
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    content = model.SerializeToString()
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    metadata = {"sha256": hashlib.sha256(content).hexdigest(), "acceptance": ACCEPTANCE} | metadata
    (folder / "model.json").write_text(json.dumps(metadata))


@pytest.fixture
def noise() -> np.ndarray:
    """Return 50 images of noise, (50, 1, 28, 28) float32 in [0, 1]."""
    return np.random.default_rng(0).random((50, 1, 28, 28), np.float32)


def test_a_loaded_model_predicts_any_number_of_images(tmp_path: Path, noise: np.ndarray) -> None:
    save_model(tmp_path, name="brightest")
    classifier = Classifier.load(tmp_path)
    many = np.tile(noise, (23, 1, 1, 1))  # more than one batch
    assert np.array_equal(classifier.predict(many), many[:, 0, 0, :10].argmax(axis=1))
    assert classifier.predict_proba(many).shape == (1150, 10)
    assert classifier.predict(many[:0]).shape == (0,)
    probabilities, digitness = classifier.infer(many)
    assert np.array_equal(probabilities, classifier.predict_proba(many))
    assert np.array_equal(digitness, many[:, 0, 0, 10])
    assert classifier.metadata["name"] == "brightest"


def test_the_shipped_model_is_loaded_by_default() -> None:
    assert shipped_model() == ROOT / "models/best"
    assert Classifier.load().metadata == Classifier.load(str(ROOT / "models/best")).metadata


def test_an_empty_batch_gives_empty_results(classifier: Classifier) -> None:
    none = np.zeros((0, 1, 28, 28), np.float32)
    assert [found.shape for found in classifier.infer(none)] == [(0, 10), (0,)]
    assert classifier.predict(none).shape == (0,)
    assert classifier.accept(classifier.infer(none)[1]).shape == (0,)


@pytest.mark.parametrize(("digitness", "accepted"), [(0.09, False), (0.1, True), (0.9, True), (float("nan"), False)])
def test_images_with_enough_digitness_are_accepted(tmp_path: Path, digitness: float, accepted: bool) -> None:
    save_model(tmp_path)
    classifier = Classifier.load(tmp_path)
    assert classifier.acceptance == Acceptance(**ACCEPTANCE)
    assert classifier.accept(np.array([digitness])).tolist() == [accepted]


def test_images_of_another_shape_dtype_or_range_are_refused(tmp_path: Path, noise: np.ndarray) -> None:
    save_model(tmp_path)
    classifier = Classifier.load(tmp_path)
    for wrong in (noise[:, 0], noise.astype(np.float64), noise * 255, noise * np.nan):
        with pytest.raises(ValueError, match="expected"):
            classifier.predict(wrong)


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path)
    content = bytearray((tmp_path / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"model.onnx: expected SHA-256 \w{64}, found \w{64}"):
        Classifier.load(tmp_path)


def test_a_missing_model_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model.onnx not found.*`dvc repro`"):
        Classifier.load(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"name": "x"}', '{"sha256": "0"}'])
def test_invalid_metadata_is_reported(tmp_path: Path, content: str) -> None:
    save_model(tmp_path)
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(InputError, match="expected a model's metadata, with sha256 and acceptance"):
        Classifier.load(tmp_path)
