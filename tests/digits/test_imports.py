"""The reader needs few packages and never the pipeline."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.digits.conftest import ROOT

READER = {"digits", "numpy", "onnxruntime", "cv2", "PIL"}
SERVER = READER | {"fastapi", "starlette", "pydantic", "uvicorn", "prometheus_client", "python_multipart"}
FILES = sorted((ROOT / "digits").rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """Yield the top-level packages that `source` imports anywhere, "." for relative imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else str(node.module).split(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("__import__", "importlib.import_module"):
            yield "a dynamic import"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_module_imports_only_the_allowed_packages(file: Path) -> None:
    allowed = SERVER if ROOT / "digits/server" in file.parents else READER
    assert set(imported(file.read_text())) <= allowed | sys.stdlib_module_names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_only_the_server_imports_the_server(file: Path) -> None:
    if ROOT / "digits/server" not in file.parents:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
                assert not any(name.startswith("digits.server") for name in names)


@pytest.mark.parametrize(
    "source",
    ["import pipeline", "def f():\n    from pipeline import params", "from . import x", "__import__('torch')"],
)
def test_a_forbidden_import_is_detected(source: str) -> None:
    assert not set(imported(source)) <= SERVER | sys.stdlib_module_names


def test_every_module_is_checked() -> None:
    assert len(FILES) >= 20
