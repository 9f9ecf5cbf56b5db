"""Functions whose bits do not depend on the processor, and that nothing else computes what does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.training.numerics import sqrt
from tests.conftest import ROOT

# torch computes these on float32 tensors of the CPU with MKL's vector library, whose bits differ between processors.
FORBIDDEN = {"sqrt", "log2", "log10", "tan", "atan", "asin", "acos", "arctan", "arcsin", "arccos", "cdist"}
FORBIDDEN_FLOAT64 = {"log"}
OTHERS = {"math", "np", "numpy", "numerics"}  # modules whose functions of these names are not torch's
ALLOWED = {
    Path("pipeline/training/numerics.py"): {"sqrt"},  # of float64
}


def test_square_roots_are_correctly_rounded() -> None:
    rng = np.random.default_rng(0)
    everything = rng.integers(0, 0x7F800000, 1_000_000, np.int32).view(np.float32)  # all exponents, also subnormals
    special = np.array([0, 1, 2, 4, 0.25, np.finfo(np.float32).max, np.finfo(np.float32).tiny, np.inf], np.float32)
    for values in (everything, rng.random(1_000_000, np.float32), special):
        found = sqrt(torch.from_numpy(values))
        assert found.dtype == torch.float32
        assert np.array_equal(found.numpy(), np.sqrt(values))  # NumPy uses SQRTPS, which rounds correctly
        assert np.array_equal(found.numpy(), np.sqrt(values.astype(np.float64)).astype(np.float32))


def modules_with_torch() -> list[Path]:
    """Return the modules of the pipeline that import torch."""
    found = []
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        tree = ast.parse(path.read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if any(name.split(".")[0] == "torch" for name in names):
            found.append(path.relative_to(ROOT))
    return found


def forbidden(tree: ast.AST) -> Iterator[str]:
    """Yield the names of forbidden functions that `tree` calls or refers to, "power" for powers of a half, and
    "optimizer" for optimisers that are not fused: the others compute with torch.sqrt.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _plain(node.attr) in FORBIDDEN:
            if not (isinstance(node.value, ast.Name) and node.value.id in OTHERS):
                yield _plain(node.attr)
        elif isinstance(node, ast.Attribute) and _plain(node.attr) in FORBIDDEN_FLOAT64:
            if any(word in ast.unparse(node.value) for word in ("double()", "float64")):
                yield f"float64 {_plain(node.attr)}"
        elif isinstance(node, ast.Call) and _is_optimizer(node.func):
            fused = [keyword for keyword in node.keywords if keyword.arg == "fused"]
            if not fused or ast.unparse(fused[0].value) != "True":
                yield "optimizer"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            yield from (alias.name for alias in node.names if _plain(alias.name) in FORBIDDEN)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and _is_half(node.right):
            yield "power"
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("pow", "pow_"):
            yield from ("power" for argument in node.args if _is_half(argument))


def _plain(name: str) -> str:
    """Return the name of a function without the marks of its variants: in place, on lists of tensors."""
    return name.removeprefix("_foreach_").rstrip("_")


def _is_optimizer(function: ast.AST) -> bool:
    parts = ast.unparse(function).split(".")
    return len(parts) >= 2 and parts[-2] == "optim" and parts[-1] in dir(torch.optim)


def _is_half(node: ast.AST) -> bool:
    try:
        return abs(ast.literal_eval(node)) == 0.5
    except (ValueError, TypeError):
        return ast.unparse(node) in ("1 / 2", "-1 / 2")


@pytest.mark.parametrize("file", modules_with_torch(), ids=str)
def test_no_module_computes_with_functions_of_varying_bits(file: Path) -> None:
    assert set(forbidden(ast.parse((ROOT / file).read_text()))) <= ALLOWED.get(file, set())


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("x.sqrt()", ["sqrt"]),
        ("x.sqrt_()", ["sqrt"]),
        ("torch.sqrt(x)", ["sqrt"]),
        ("from torch import log10", ["log10"]),
        ("x ** 0.5 + y ** -0.5 + z ** (1 / 2)", ["power"] * 3),
        ("x.pow(0.5) + torch.pow(x, 0.5)", ["power"] * 2),
        ("torch.special.log2(x).atan()", ["atan", "log2"]),
        ("torch._foreach_sqrt(tensors); torch._foreach_sqrt_(tensors)", ["sqrt"] * 2),
        ("torch.cdist(x, y)", ["cdist"]),
        ("x.double().log() + x.to(torch.float64).log_() + x.log()", ["float64 log"] * 2),
        ("torch.optim.AdamW(p); torch.optim.Adam(p, fused=False); torch.optim.AdamW(p, fused=True)", ["optimizer"] * 2),
        ("from pipeline.training.numerics import sqrt\nsqrt(x) + math.sqrt(2) + np.log2(x) + x ** 2", []),
    ],
)
def test_forbidden_functions_are_recognised(code: str, found: list[str]) -> None:
    assert sorted(forbidden(ast.parse(code))) == sorted(found)


def test_the_modules_that_train_are_checked() -> None:
    names = {file.stem for file in modules_with_torch()}
    assert names >= {"networks", "augmentation", "hog", "detector", "denoiser", "random_corruptions", "numerics", "cnn"}


def test_norm_and_standard_deviation_are_correctly_rounded() -> None:
    """They compute square roots too, with an instruction that rounds correctly; squares and sums here are exact."""
    values = np.random.default_rng(0).integers(1, 1000, (10_000, 2)).astype(np.float32)
    norm = np.sqrt((values**2).sum(axis=1))
    std = np.sqrt((values[:, 0] - values[:, 1]) ** 2 / 2)
    for dim, tensor in ((1, torch.from_numpy(values)), (0, torch.from_numpy(values.T.copy()))):
        assert np.array_equal(tensor.norm(dim=dim).numpy(), norm)
        assert np.array_equal(tensor.std(dim).numpy(), std)


def test_the_fused_optimizer_computes_correctly_rounded_square_roots() -> None:
    gradients = np.random.default_rng(0).integers(1, 1 << 20, 10_000).astype(np.float32) / 1024
    weights = torch.zeros(len(gradients), requires_grad=True)
    weights.grad = torch.from_numpy(gradients)
    torch.optim.Adam([weights], 1.0, (0.0, 0.0), 0.0, fused=True).step()  # minus the gradient by the root of its square
    assert torch.equal(weights, -torch.ones(len(gradients)))
