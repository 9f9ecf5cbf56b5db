"""What holds for every held-out corruption. Which ones there are is in pipeline/robustness/held_out.py only."""

import ast
import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from pipeline.robustness.held_out import HELD_OUT
from tests.conftest import ROOT


def test_held_out_corruptions_are_marked_and_not_in_the_development_suite() -> None:
    assert len(HELD_OUT) >= 8
    assert all(corruption.held_out for corruption in HELD_OUT.values())
    assert not HELD_OUT.keys() & CORRUPTIONS.keys()
    functions = {corruption.function for corruption in [*HELD_OUT.values(), *CORRUPTIONS.values()]}
    assert len(functions) == len(HELD_OUT) + len(CORRUPTIONS)


@pytest.mark.parametrize("number", range(len(HELD_OUT)))
def test_severities_change_images_more_and_more_but_not_beyond_recognition(number: int, images: np.ndarray) -> None:
    corruption = list(HELD_OUT.values())[number]
    changes = []
    for severity in SEVERITIES:
        found = corrupt(corruption, images, severity, seed=1)
        assert found.shape == images.shape
        assert found.dtype == np.uint8
        assert np.array_equal(found, corrupt(corruption, images, severity, seed=1))
        changes.append(np.abs(found.astype(float) - images).mean())
        similar = [np.corrcoef(found[row].ravel(), image.ravel())[0, 1] for row, image in enumerate(images)]
        assert np.mean(similar) > 0.4
    assert 0 < changes[0] < changes[1] < changes[2]


def test_blank_and_single_images_are_possible() -> None:
    for corruption in HELD_OUT.values():
        for severity in SEVERITIES:
            assert corrupt(corruption, np.zeros((1, 28, 28), np.uint8), severity, seed=1).shape == (1, 28, 28)


def test_the_bytes_are_the_same_on_every_machine(images: np.ndarray) -> None:
    everything = b"".join(
        corrupt(corruption, images, severity, 42).tobytes()
        for corruption in HELD_OUT.values()
        for severity in SEVERITIES
    )
    assert hashlib.sha256(everything).hexdigest() == "5544259333c502df2d3fccf0a651348ab36ff09efa5d1c121aaf2f2c527131b3"


def test_only_the_benchmark_imports_the_held_out_suite() -> None:
    files = [path for folder in ("pipeline", "digits", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    importing = {path.relative_to(ROOT) for path in files if imports_held_out(path)}
    assert importing == {Path("benchmarks/robustness.py")}


def imports_held_out(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        if any(name.split(".")[-1] == "held_out" for name in names):
            return True
    return False
