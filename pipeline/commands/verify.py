"""Command: check that a rebuild gives the committed bytes: `python -m pipeline.commands.verify`.

It rebuilds the last commit in a fresh clone without any cache and compares every output in dvc.lock by its MD5. Metrics
and the leaderboard, if their bytes differ, are compared number by number. The exit code is 1 if an output differs by
more than the tolerance. With `--record` the result is written to docs/verified, one file per kind of processor.
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
from pipeline.fingerprints import records

VERIFIED = Path("docs/verified")
IDENTICAL = "identical bytes"
TOLERANCE = 0.002  # of a fraction or a log loss
LEADERBOARD = "results/leaderboard.json"


def machine() -> dict[str, str]:
    """Return processor, system and versions."""
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
            verdict = IDENTICAL
        elif path in before and path in after and (path.startswith("metrics/") or path == LEADERBOARD):
            gap = difference(*(json_file.read(folder / path) for folder in (committed, rebuilt)))
            verdict = f"equal within {TOLERANCE}" if gap <= TOLERANCE else f"different by {gap:.4g}"
        else:
            verdict = "different"
        rows.append((path, verdict))
    return sorted(rows, key=lambda row: (row[1] == IDENTICAL, row))


def rebuild(folder: Path) -> None:
    """Run the whole pipeline in `folder`, a clone without any cache.

    Raises:
        InputError: params.yaml is not valid, or a stage failed.
    """
    params.load(folder / params.FILE)
    environment = dict(os.environ)
    for name in ("DATASET_MIRROR", "MNIST_MIRROR"):
        if (mirror := environment.get(name)) and "://" not in mirror:
            environment[name] = str(Path(mirror).resolve())
    command = [str(Path(sys.executable).parent / "dvc"), "repro", "--force", "--no-run-cache"]
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        raise InputError("the rebuild failed, see above.")


def report(rows: list[tuple[str, str]]) -> int:
    """Print the comparison of each output, this machine, and earlier results; return 1 if an output differs."""
    console = Console(width=150)
    table = Table("output", "rebuilt here")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    table = Table("this machine", "")
    for item in machine().items():
        table.add_row(*item)
    console.print(table)
    table = Table("recorded in docs/verified", "identical bytes")
    for name, content in recorded(VERIFIED).items():
        table.add_row(name, f"{content['identical']} of {content['outputs']} at commit {content['commit'][:7]}")
    console.print(table)
    different = sum(verdict.startswith("different") for _, verdict in rows)
    console.print(f"{len(rows) - different} of {len(rows)} outputs are as committed.")
    return int(different > 0)


def recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the results that `record` has written to `folder`, by file name without suffix."""
    return {path.stem: json_file.read(path) for path in sorted(folder.glob("*.json"))}


def record(rows: list[tuple[str, str]], processor: dict[str, Any], commit: str, folder: Path) -> Path:
    """Write the comparison `rows` of a rebuild of `commit` on `processor` to `folder`, and return the path.

    Args:
        processor: what `this_processor` or `emulated_processor` of `pipeline.fingerprints.records` returns.
    """
    different = {path: verdict for path, verdict in rows if verdict != IDENTICAL}
    path = folder / f"{records.file_name(processor)}.json"
    content = {
        "processor": processor,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "threads": params.load().runtime.threads,
        "versions": records.versions(),
        "commit": commit,
        "outputs": len(rows),
        "identical": len(rows) - len(different),
        "different": different,
    }
    json_file.write(path, content)
    return path


def main() -> int:
    """Rebuild, compare and print; return 1 if an output differs.

    Raises:
        InputError: this is not a git repository with a dvc.lock, or a stage failed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.commands.verify", description="Rebuild the last commit and compare its outputs."
    )
    parser.add_argument("--record", action="store_true", help=f"write the result to {VERIFIED}")
    parser.add_argument("--emulator", help="in which this runs, with its version, for the record")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        committed, rebuilt = Path(folder) / "committed", Path(folder) / "rebuilt"
        for clone in (committed, rebuilt):
            if subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=False).returncode:
                raise InputError("expected a git repository here, whose last commit can be cloned.")
        if not (committed / "dvc.lock").exists():
            raise InputError("the last commit has no dvc.lock. Run `dvc repro` and commit it.")
        rebuild(rebuilt)
        rows = compare(committed, rebuilt)
        code = report(rows)
        if options.record:
            commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=committed, text=True).strip()
            print(f"written: {record(rows, _processor(options.emulator), commit, VERIFIED)}")
        return code


def _processor(emulator: str | None) -> dict[str, Any]:
    if not emulator:
        return records.this_processor()
    import torch  # slow to import

    return records.emulated_processor(emulator, torch.cpu.get_capabilities())


if __name__ == "__main__":
    errors.run(main, runtime.ADVICE)
