"""Command: do the same bytes come out? `python -m pipeline.verify` rebuilds the last commit in a fresh clone, without
any cache, and compares every output with what is committed.

Cached outputs are compared by the MD5 in dvc.lock; the metrics, if their bytes differ, number by number. Exit code 1 if
anything differs by more than that.
"""

import argparse
import json
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

from pipeline import errors, params
from pipeline.errors import InputError

REFERENCE = Path("docs/reference-machine.json")
TOLERANCE = 0.002  # of a fraction or log loss in the metrics


def machine() -> dict[str, str]:
    """Return what could decide bytes: CPU and versions. Threads and instruction sets are pinned."""
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
    """Return the MD5 of each output in the dvc.lock at `lock`, by its path.

    Raises:
        InputError: it is none.
    """
    try:
        stages = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"]
        return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
    except (YAMLError, ValueError, TypeError, KeyError, AttributeError):
        raise InputError(
            f"{lock}: expected the stages and outputs that DVC writes, found something else. "
            "Take back the last one, `git checkout dvc.lock`, and run `dvc repro`."
        ) from None


def difference(before: Any, after: Any) -> float:
    """Return the greatest difference between two numbers at the same place in two JSON trees; infinite if they differ
    in anything else.
    """
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return max((difference(before[key], after[key]) for key in before), default=0.0)
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return max((difference(*pair) for pair in zip(before, after, strict=True)), default=0.0)
    if isinstance(before, int) and isinstance(after, int):
        return 0.0  # a count of errors: its fraction says the same
    if isinstance(before, float | int) and isinstance(after, float | int):
        return abs(before - after)
    return 0.0 if before == after else float("inf")


def compare(committed: Path, rebuilt: Path) -> list[tuple[str, str]]:
    """Return each output of the two folders' dvc.lock and how they compare, equal ones last."""
    before, after = outputs(committed / "dvc.lock"), outputs(rebuilt / "dvc.lock")
    rows = []
    for path in before.keys() | after.keys():
        if before.get(path) == after.get(path):
            verdict = "identical bytes"
        elif path.startswith("metrics/") and path in before and path in after:
            gap = difference(*(json.loads((folder / path).read_text()) for folder in (committed, rebuilt)))
            verdict = f"equal within {TOLERANCE}" if gap <= TOLERANCE else f"different by {gap:.4g}"
        else:
            verdict = "different"
        rows.append((path, verdict))
    return sorted(rows, key=lambda row: (row[1] == "identical bytes", row))


def rebuild(folder: Path) -> None:
    """Run the whole pipeline in `folder`, a clone without any cache.

    Raises:
        InputError: it did not run to its end.
    """
    environment = dict(os.environ)
    mirror = environment.get("MNIST_MIRROR")
    if mirror and "://" not in mirror:
        environment["MNIST_MIRROR"] = str(Path(mirror).resolve())
    command = [str(Path(sys.executable).parent / "dvc"), "repro", "--force", "--no-run-cache"]
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise InputError("the rebuild failed, see above.")


def report(rows: list[tuple[str, str]]) -> int:
    """Print how each output compares, and this machine beside the one that committed; return 1 if an output differs."""
    console = Console(width=150)
    table = Table("output", "rebuilt here")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    reference = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {}
    table = Table("machine", "committed", "here")
    for name, value in machine().items():
        table.add_row(name, reference.get(name, "not recorded"), value)
    console.print(table)
    wrong = [path for path, verdict in rows if verdict.startswith("different")]
    console.print(f"{len(rows) - len(wrong)} of {len(rows)} outputs are as committed.")
    return int(bool(wrong))


def main() -> int:
    """Rebuild, compare, print; the exit code is 1 if an output differs."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.verify", description="Rebuild the last commit and compare."
    )
    parser.add_argument("--record", action="store_true", help=f"only write this machine's description to {REFERENCE}")
    if parser.parse_args().record:
        REFERENCE.write_text(json.dumps(machine(), indent=2) + "\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        committed, rebuilt = Path(folder) / "committed", Path(folder) / "rebuilt"
        for clone in (committed, rebuilt):
            if subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=False).returncode:
                raise InputError("expected a git repository here, whose last commit can be cloned.")
        if not (committed / "dvc.lock").exists():
            raise InputError("the last commit has no dvc.lock. Commit one after a `dvc repro`.")
        rebuild(rebuilt)
        return report(compare(committed, rebuilt))


if __name__ == "__main__":
    errors.run(main)
