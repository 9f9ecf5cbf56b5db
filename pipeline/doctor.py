"""Command: is everything as it should be? `python -m pipeline.doctor` lists what is not, and how to mend it.

It looks at what DVC does not: hyperparameters of every model before anything runs, versions of the installed packages,
and the content of DVC's cache, from which DVC 3.67 restores damaged files without a word.
"""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dvc.exceptions import NotDvcRepoError
from dvc.repo import Repo

from pipeline import classifiers, errors, params, runtime
from pipeline.datasets import records
from pipeline.errors import InputError
from pipeline.verify import outputs


def wrong_params() -> list[str]:
    """Return what is wrong in params.yaml, a line each."""
    settings = params.load()
    checks: list[Callable[[], object]] = [partial(records.get, settings.dataset)]
    for models in (settings.models, settings.presets):
        checks += [partial(classifiers.plan, name, models) for name in models]
    wrong = []
    for check in checks:
        try:
            check()
        except InputError as error:
            wrong.append(str(error))
    return wrong


def wrong_versions() -> list[str]:
    """Return the packages that are not as requirements.lock says, a line each."""
    return [f"{name} is {versions}. `make clean install` mends it." for name, versions in runtime.unlocked().items()]


def wrong_objects(cache: Path, lock: Path) -> list[str]:
    """Return the files in DVC's `cache` whose content is not what their name says, a line each, with what they are.

    Args:
        cache: the folder `files/md5` of DVC's cache.
        lock: dvc.lock, which says which outputs are stored under which name.
    """
    wrong = []
    owners = _owners(cache, lock)
    for path in sorted(cache.glob("??/*")):
        expected = (path.parent.name + path.name).removesuffix(".dir")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != expected:
            owner = owners.get(path.parent.name + path.name, "an earlier version of some output")
            wrong.append(
                f"{path}, which is {owner}: expected MD5 {expected}, found {found}. "
                "Delete it and its copy in the workspace; then `dvc pull` or `dvc repro --no-run-cache` makes it anew."
            )
    return wrong


def _owners(cache: Path, lock: Path) -> dict[str, str]:
    """Return which output each name in the cache stands for."""
    owners = {}
    for output, md5 in outputs(lock).items() if lock.exists() else ():
        owners[md5] = output
        listing = cache / md5[:2] / md5[2:]
        if md5.endswith(".dir") and listing.exists():
            try:
                entries = json.loads(listing.read_text())
            except ValueError:
                continue  # damaged itself, and found so
            owners |= {entry["md5"]: f"{output}/{entry['relpath']}" for entry in entries}
    return owners


def main() -> int:
    """Print what is wrong; the exit code is 1 if anything is."""
    try:
        cache = Path(Repo().cache.local.path)
    except NotDvcRepoError:
        raise InputError("expected a DVC repository here. Run this from the repository's root.") from None
    checks = {
        "params.yaml": wrong_params(),
        "installed packages": wrong_versions(),
        "DVC's cache": wrong_objects(cache, Path("dvc.lock")),
    }
    for name, wrong in checks.items():
        print(f"{name}: {'wrong' if wrong else 'ok'}")
        for line in wrong:
            print(f"  {line}")
    return int(any(checks.values()))


if __name__ == "__main__":
    errors.run(main)
