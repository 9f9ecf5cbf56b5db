"""Command: check what DVC does not: `python -m pipeline.commands.doctor` lists problems and how to fix them.

It checks the parameters of every model and preset before anything runs, the versions of the installed packages, and the
content of DVC's cache, from which DVC 3.67 restores damaged files without a warning. It also compares the numerical
kernels on this processor with the records in docs/fingerprints.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dvc.exceptions import NotDvcRepoError
from dvc.repo import Repo
from ruamel.yaml import YAML

from digits import errors
from digits.errors import InputError
from pipeline import json_file, params, runtime
from pipeline.classifiers import model_config
from pipeline.commands.verify import outputs
from pipeline.datasets import records
from pipeline.fingerprints import records as fingerprints
from pipeline.fingerprints.records import Difference, Record


def wrong_params(path: Path = params.FILE) -> list[str]:
    """Return the errors in params.yaml, a message each: an unknown dataset or augmentation policy, and entries of
    `models` and `presets` that do not fit their kind.

    Raises:
        InputError: the file does not fit the schema.
    """
    settings = params.load(path)
    checks: list[Callable[[], object]] = [
        partial(records.get, settings.dataset),
        partial(settings.policy, params.STORED_POLICY, "augmentation"),
        partial(settings.policy, settings.ood.detector.augmentation, "ood.detector.augmentation"),
        partial(model_config, settings.label_errors.model, settings),
        *(partial(model_config, name, settings) for name in settings.models),
        *(partial(model_config, name, settings, "presets") for name in settings.presets),
    ]
    found: dict[str, None] = {}  # in order, and each once
    for check in checks:
        try:
            check()
        except InputError as error:
            found[str(error)] = None
    return list(found)


def wrong_versions() -> list[str]:
    """Return the packages whose version is not the one in requirements.lock, a line each."""
    return [f"{name} is {versions}. `make clean install` fixes it." for name, versions in runtime.unlocked().items()]


def wrong_objects(cache: Path, lock: Path) -> list[str]:
    """Return the files in DVC's `cache` whose content does not have the MD5 that is their name, a line each.

    Args:
        cache: the folder `files/md5` of DVC's cache.
        lock: dvc.lock, from which each line names the output that the file belongs to.
    """
    wrong = []
    owners = _owners(cache, lock)
    for path in sorted(cache.glob("??/*")):
        name = path.parent.name + path.name
        expected = name.removesuffix(".dir")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != expected:
            owner = owners.get(name, "an earlier version of some output")
            wrong.append(
                f"{path}, which is {owner}: expected MD5 {expected}, found {found}. Delete it and its copy in the "
                "workspace; then `dvc pull` or `dvc repro --no-run-cache` makes it again."
            )
    return wrong


def _owners(cache: Path, lock: Path) -> dict[str, str]:
    """Return the output, or the file in an output folder, by its name in the cache."""
    owners = {}
    for output, md5 in outputs(lock).items() if lock.exists() else ():
        owners[md5] = output
        listing = cache / md5[:2] / md5[2:]
        if md5.endswith(".dir") and listing.exists():
            try:
                entries = json_file.read(listing)
            except (json.JSONDecodeError, UnicodeDecodeError):
                continue  # damaged, and reported as such
            owners |= {entry["md5"]: f"{output}/{entry['relpath']}" for entry in entries}
    return owners


def different_kernels() -> list[Difference]:
    """Return the numerical kernels whose results on this processor differ from the records.

    They run in another process: their libraries must be restricted before they are imported.

    Raises:
        InputError: a kernel does not run.
    """
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        path = Path(folder) / "fingerprints.json"
        command = [sys.executable, "-m", "pipeline.commands.fingerprints", "--output", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not path.exists():
            raise InputError(f"the numerical kernels do not run here: {done.stderr.strip()}")
        return fingerprints.compare(Record(**json_file.read(path)), fingerprints.load())


def concerned(difference: Difference, lock: Path) -> str:
    """Return `difference` as a line, with the outputs in the dvc.lock at `lock` of the stages that use the kernel."""
    stages = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"] if lock.exists() else {}
    paths = [out["path"] for stage in difference.stages for out in stages.get(stage, {}).get("outs", ())]
    return f"{difference} Their outputs: {', '.join(paths) or 'none yet'}; and what follows from them."


def main() -> int:
    """Print all problems and return 1 if there are any.

    Raises:
        InputError: this is not a DVC repository.
    """
    try:
        cache = Path(Repo().cache.local.path)
    except NotDvcRepoError:
        raise InputError("expected a DVC repository here. Run this in the repository's root.") from None
    lock = Path("dvc.lock")
    checks = {
        "params.yaml": wrong_params(),
        "installed packages": wrong_versions(),
        "DVC's cache": wrong_objects(cache, lock),
    }
    different = [] if checks["params.yaml"] else different_kernels()
    checks["numerical kernels"] = [concerned(each, lock) for each in different if each.restricted]
    for name, wrong in checks.items():
        print(f"{name}: {'wrong' if wrong else 'ok'}")
        for line in wrong:
            print(f"  {line}")
    if free := [each.kernel for each in different if not each.restricted]:
        print(f"As expected, these differ from other processors; no bytes depend on it: {', '.join(free)}")
    return int(any(checks.values()))


if __name__ == "__main__":
    errors.run(lambda: runtime.call(main, "pipeline.commands.doctor"), runtime.ADVICE)
