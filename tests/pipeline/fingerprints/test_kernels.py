import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.fingerprints import kernels
from pipeline.fingerprints.kernels import Kernel
from pipeline.params import Params
from tests.conftest import ROOT
from tests.test_structure import MODELS, stages


@pytest.fixture(scope="module")
def found(settings: Params) -> list[Kernel]:
    return kernels.kernels(settings)


def test_kernels_name_stages_of_dvc_yaml(found: list[Kernel]) -> None:
    known = {name for name, _, _ in stages()}
    assert all(kernel.stages and set(kernel.stages) <= known for kernel in found)
    assert {f"train@{model}" for model in MODELS} <= {stage for kernel in found for stage in kernel.stages}
    assert {"augment", "corrupt", "explore", "generate_outliers", "preprocess", "train_canonicalizer", "train_ood"} <= {
        stage for kernel in found for stage in kernel.stages
    }


def test_names_are_unique_and_every_kind_of_layer_is_there(found: list[Kernel]) -> None:
    names = [kernel.name for kernel in found]
    assert len(names) == len(set(names))
    for part in (
        "Conv2d(24, 48,",
        "Linear(",
        "BatchNorm2d(",
        "BatchNorm1d(",
        "GELU(",
        "MaxPool2d(",
        "Dropout(",
        "ReLU(",
    ):
        assert any(name.startswith(part) for name in names), part
    for part in (
        "warp",
        "features: hog",
        "svm",
        "random_forest",
        "logreg",
        "canonicalizer",
        "OOD detector",
        "NumPy: F",
    ):
        assert any(name.startswith(part) for name in names), part


def test_only_onnx_runtime_is_not_restricted(found: list[Kernel]) -> None:
    free = [kernel.name for kernel in found if not kernel.restricted]
    assert free
    assert all(name.startswith("ONNX Runtime") for name in free)


def test_a_kernel_gives_the_same_fingerprint_again(found: list[Kernel]) -> None:
    quick = (
        "torch: random numbers",
        "torch: losses",
        "NumPy: random numbers",
        "random corruption lines",
        "calibration",
    )
    chosen = [kernel for kernel in found if kernel.name in quick]
    assert len(chosen) == len(quick)
    first = [kernel.fingerprint() for kernel in chosen]
    assert first == [kernel.fingerprint() for kernel in reversed(chosen)][::-1]
    assert len(set(first)) == len(quick)


def doubled(value: float) -> Iterator[np.ndarray]:
    yield np.array([2 * value, 1.0])


def test_a_fingerprint_changes_with_the_last_bit_the_shape_and_the_type() -> None:
    def of(function: object, *arguments: object) -> str:
        return Kernel("name", function, arguments, ("train",)).fingerprint()  # type: ignore[arg-type]

    assert of(doubled, 1.0) == of(doubled, 1.0) == of(lambda: iter([torch.tensor([2.0, 1.0], dtype=torch.float64)]))
    others = [np.array([np.nextafter(2, 3), 1]), np.array([[2.0, 1.0]]), np.array([2.0, 1.0], np.float32)]
    assert len({of(doubled, 1.0), *(of(lambda other=other: [other]) for other in others)}) == 4


def test_a_definition_changes_with_the_code_and_not_with_comments(found: list[Kernel]) -> None:
    kernel = Kernel("name", doubled, (1.0,), ("train",))
    assert kernel.definition() == Kernel("name", doubled, (1.0,), ("train",)).definition()
    assert kernel.definition() != Kernel("other", doubled, (1.0,), ("train",)).definition()
    assert kernel.definition() != Kernel("name", doubled, (1.0,), ("train",), (nn.GELU,)).definition()

    def one() -> int:
        """Return one."""
        return 1  # a comment

    other = "def one() -> int:\n    return 1"
    assert kernels._code(one).replace("    pass\n", "") == other


def test_layers_are_those_of_a_training_step() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 5), nn.GELU(), nn.Sequential(nn.GELU(), nn.Flatten()), nn.Linear(1728, 2))
    found = [(type(layer).__name__, shape) for layer, shape in kernels.layers(network, 7)]
    assert found == [("Conv2d", (7, 1, 28, 28)), ("GELU", (7, 3, 24, 24)), ("Linear", (7, 1728))]


def test_no_kernel_reads_data_or_models() -> None:
    text = (ROOT / "pipeline/fingerprints/kernels.py").read_text()
    assert not any(word in text for word in ("Path(", "open(", "arrays.load", "denoiser.load", "models/"))
    tracked = subprocess.check_output(["git", "ls-files", "data", "models"], cwd=ROOT, text=True)
    assert "fingerprint" not in tracked
