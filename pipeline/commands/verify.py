"""Command: check that a rebuild gives the committed bytes: `python -m pipeline.commands.verify`.

It rebuilds the last commit in a fresh clone without any cache and compares every output in dvc.lock by its MD5. Metrics
and the leaderboard, if their bytes differ, are compared number by number. The exit code is 1 if an output differs by
more than the tolerance.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from digits import errors
from digits.errors import InputError
from pipeline import json_file, params, runtime

REFERENCE = Path("docs/reference-machine.json")
TOLERANCE = 0.002  # of a fraction or a log loss
LEADERBOARD = "results/leaderboard.json"


def machine() -> dict[str, str]:
    """Return what may determine the bytes of outputs: CPU, system and versions."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = re.search(r"^model name\s*: (.*)$", info, re.MULTILINE)
    return {
        "cpu": name[1] if name else platform.processor(),
        "cores": str(os.cpu_count()),
        "capability": next((word for word in ("avx512f", "avx2", "sse4_2") if f" {word} " in info), "unknown"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": str(params.load().runtime.threads),
        **{package: version(package) for package in ("numpy", "scikit-learn", "torch", "onnxruntime", "dvc")},
    }


def outputs(lock: Path) -> dict[str, str]:
    """Return the MD5 of each output in the dvc.lock at `lock`, by path.

    Raises:
        InputError: the file is not a dvc.lock.
    """
    try:
        stages = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"]
        return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError):
        raise InputError(
            f"{lock}: expected the stages and outputs that DVC writes, found something else. "
            "Restore it with `git checkout dvc.lock` and run `dvc repro`."
        ) from None


def difference(before: Any, after: Any) -> float:
    """Return the largest difference between two numbers at the same place of two JSON trees; infinite if they differ in
    anything else. Integers are not compared: they are counts, whose fractions are compared.
    """
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return max((difference(before[key], after[key]) for key in before), default=0.0)
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return max((difference(*pair) for pair in zip(before, after, strict=True)), default=0.0)
    if isinstance(before, int) and isinstance(after, int):
        return 0.0
    if isinstance(before, float | int) and isinstance(after, float | int):
        return abs(before - after)
    return 0.0 if before == after else float("inf")


def compare(committed: Path, rebuilt: Path) -> list[tuple[str, str]]:
    """Return (path, result of the comparison) of each output in the dvc.lock of two folders, identical ones last."""
    before, after = outputs(committed / "dvc.lock"), outputs(rebuilt / "dvc.lock")
    rows = []
    for path in before.keys() | after.keys():
        if before.get(path) == after.get(path):
            verdict = "identical bytes"
        elif path in before and path in after and (path.startswith("metrics/") or path == LEADERBOARD):
            gap = difference(*(json_file.read(folder / path) for folder in (committed, rebuilt)))
            verdict = f"equal within {TOLERANCE}" if gap <= TOLERANCE else f"different by {gap:.4g}"
        else:
            verdict = "different"
        rows.append((path, verdict))
    return sorted(rows, key=lambda row: (row[1] == "identical bytes", row))


def rebuild(folder: Path) -> None:
    """Run the whole pipeline in `folder`, a clone without any cache.

    Raises:
        InputError: params.yaml is not valid, or a stage failed.
    """
    params.load(folder / params.FILE)
    environment = dict(os.environ)
    mirror = environment.get("MNIST_MIRROR")
    if mirror and "://" not in mirror:
        environment["MNIST_MIRROR"] = str(Path(mirror).resolve())
    command = [str(Path(sys.executable).parent / "dvc"), "repro", "--force", "--no-run-cache"]
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise InputError("the rebuild failed, see above.")


def report(rows: list[tuple[str, str]]) -> int:
    """Print the comparison of each output, and this machine beside the one of the commit; return 1 if an output
    differs.
    """
    console = Console(width=150)
    table = Table("output", "rebuilt here")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    reference = json_file.read(REFERENCE) if REFERENCE.exists() else {}
    table = Table("machine", "committed", "here")
    for name, value in machine().items():
        table.add_row(name, reference.get(name, "not recorded"), value)
    console.print(table)
    different = sum(verdict.startswith("different") for _, verdict in rows)
    console.print(f"{len(rows) - different} of {len(rows)} outputs are as committed.")
    return int(different > 0)


def main() -> int:
    """Rebuild, compare and print; return 1 if an output differs.

    Raises:
        InputError: this is not a git repository with a dvc.lock, or a stage failed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.commands.verify", description="Rebuild the last commit and compare its outputs."
    )
    parser.add_argument("--record", action="store_true", help=f"only write a description of this machine: {REFERENCE}")
    if parser.parse_args().record:
        json_file.write(REFERENCE, machine())
        return 0
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        committed, rebuilt = Path(folder) / "committed", Path(folder) / "rebuilt"
        for clone in (committed, rebuilt):
            if subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=False).returncode:
                raise InputError("expected a git repository here, whose last commit can be cloned.")
        if not (committed / "dvc.lock").exists():
            raise InputError("the last commit has no dvc.lock. Run `dvc repro` and commit it.")
        rebuild(rebuilt)
        return report(compare(committed, rebuilt))


if __name__ == "__main__":
    errors.run(main, runtime.ADVICE)
