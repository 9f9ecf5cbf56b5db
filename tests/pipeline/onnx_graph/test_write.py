from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from digits.checksums import sha256
from digits.errors import InputError
from digits.interface import DIGITNESS, PROBABILITIES
from digits.model import Classifier
from pipeline import json_file
from pipeline.onnx_graph.package import write_package
from pipeline.onnx_graph.write import LIBRARIES, read_onnx, write_onnx

ACCEPTANCE = {"min_digitness": 0.8}
DATA = {"classes": list("0123456789"), "shape": [1, 28, 28], "digits": True}
OPSETS = [("", 18), ("ai.onnx.ml", 3)]


def model(
    opsets: list[tuple[str, int]] = OPSETS, outputs: tuple[str, str] = (PROBABILITIES, DIGITNESS)
) -> onnx.ModelProto:
    """Return a model with constant probabilities and the mean pixel as digitness."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 28, 28])
    found = [
        helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, ["n", 10]),
        helper.make_tensor_value_info(outputs[1], TensorProto.FLOAT, ["n"]),
    ]
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [784, 10], np.zeros(7840, np.float32))
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [outputs[0]], axis=1),
        helper.make_node("ReduceMean", ["images", "axes"], [outputs[1]], keepdims=0),
    ]
    graph = helper.make_graph(nodes, "digits", [images], found, [weights, axes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*opset) for opset in opsets], ir_version=10)


def test_operator_sets_are_sorted_and_listed_once(tmp_path: Path) -> None:
    for name, opsets in (("a", OPSETS), ("b", OPSETS[::-1]), ("c", [*OPSETS, *OPSETS[::-1]])):
        write_onnx(tmp_path / name, model(opsets))
        written = onnx.load(tmp_path / name)
        assert [(opset.domain, opset.version) for opset in written.opset_import] == OPSETS
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_size_and_checksum_are_those_of_the_file(tmp_path: Path) -> None:
    found = write_onnx(tmp_path / "new/model.onnx", model())
    content = (tmp_path / "new/model.onnx").read_bytes()
    assert found == {"bytes": len(content), "sha256": sha256(content)}
    assert read_onnx(tmp_path / "new/model.onnx", found["sha256"]) == onnx.load_model_from_string(content)


@pytest.mark.parametrize("expected", ["0" * 64, None])
def test_another_checksum_is_an_error(tmp_path: Path, expected: str | None) -> None:
    write_onnx(tmp_path / "model.onnx", model())
    with pytest.raises(
        InputError, match=rf"model\.onnx: expected SHA-256 {expected}, found [0-9a-f]{{64}}\. Delete it"
    ):
        read_onnx(tmp_path / "model.onnx", expected)


def test_a_written_model_has_its_interface_and_thresholds_inside(tmp_path: Path) -> None:
    write_package(tmp_path, model(), {"name": "constant", "acceptance": ACCEPTANCE, "data": DATA})
    properties = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert properties == {
        "input": "images: float32 (n, 1, 28, 28) in [0, 1], bright ink on dark background",
        "outputs": "probabilities: float32 (n, 10); digitness: float32 (n,) in [0, 1]",
        "classes": '["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]',
        "licence": "MIT",
        "acceptance.min_digitness": "0.8",
    }
    card = json_file.read(tmp_path / "model.json")
    assert card["name"] == "constant"
    assert card["acceptance"] == ACCEPTANCE
    assert card["input"] == {
        "name": "images",
        "shape": ["n", 1, 28, 28],
        "dtype": "float32",
        "range": [0, 1],
        "ink": "bright",
    }
    assert [output["name"] for output in card["outputs"]] == [PROBABILITIES, DIGITNESS]
    assert card["classes"] == list("0123456789")
    assert card["sha256"] == sha256(tmp_path / "model.onnx")
    assert card["bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert tuple(card["versions"]) == LIBRARIES


def test_a_written_model_can_be_loaded(tmp_path: Path) -> None:
    write_package(tmp_path, model(), {"acceptance": ACCEPTANCE, "data": DATA})
    classifier = Classifier.load(tmp_path)
    images = np.stack([np.full((1, 28, 28), value, np.float32) for value in (0.1, 0.5, 0.9)])
    probabilities, digitness = classifier.infer(images)
    assert np.allclose(probabilities, 0.1)
    assert np.allclose(digitness, [0.1, 0.5, 0.9])
    assert classifier.accept(digitness).tolist() == [False, False, True]


def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    for name, opsets in (("a", OPSETS), ("b", OPSETS[::-1])):
        write_package(tmp_path / name, model(opsets), {"acceptance": ACCEPTANCE, "data": DATA})
    for file in ("model.onnx", "model.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    write_package(tmp_path / "b", model(), {"acceptance": {"min_digitness": 0.9}, "data": DATA})
    assert (tmp_path / "a/model.onnx").read_bytes() != (tmp_path / "b/model.onnx").read_bytes()


def test_another_interface_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected input and outputs"):
        write_package(tmp_path, model(outputs=(PROBABILITIES, "other")), {"acceptance": ACCEPTANCE, "data": DATA})
    assert not (tmp_path / "model.onnx").exists()
