"""Command: copy all outputs of dvc.lock to a folder that any web server can serve.

    python -m pipeline.commands.publish FOLDER

Whoever clones the repository then gets data, models and results with `dvc pull` instead of computing them. The folder
is a DVC remote: files are named by their MD5, so that those of earlier commits stay and nothing is copied twice. How a
clone learns its address is in .dvc/config.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo

from digits import errors
from digits.errors import InputError
from pipeline import runtime

REMOTE = "published"


def publish(folder: Path) -> int:
    """Copy the outputs of dvc.lock from DVC's cache to `folder`, and return how many files are new there.

    Raises:
        InputError: `folder` cannot be written, an output is missing, or copying failed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: expected a folder, or the name of a new one, found: {error.strerror}.") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: expected a writable folder, found a read-only one.")
    with Repo(config={"remote": {REMOTE: {"url": str(folder.resolve())}}}) as repo:
        try:
            copied = int(repo.push(remote=REMOTE))
        except (DvcException, OSError) as error:
            raise InputError(f"{folder}: copying failed ({error}). What was copied stays there; try again.") from None
        found = {
            out.def_path: out.hash_info.value for stage in repo.index.stages for out in stage.outs if out.use_cache
        }
    absent = sorted(
        path for path, md5 in found.items() if not md5 or not all(file.exists() for file in files(folder, md5))
    )
    if absent:
        raise InputError(
            f"{folder}: expected all outputs, but DVC's cache lacks {', '.join(absent)}. Run `dvc repro` first; "
            "`make doctor` finds damaged files."
        )
    print(f"{folder}: {len(found)} outputs, {copied} new files")
    return copied


def files(folder: Path, md5: str) -> Iterator[Path]:
    """Yield the files in `folder`, a DVC remote, that an output with this MD5 consists of."""
    object_ = folder / "files/md5" / md5[:2] / md5[2:]
    yield object_
    if md5.endswith(".dir") and object_.exists():
        for entry in json.loads(object_.read_text()):
            yield folder / "files/md5" / entry["md5"][:2] / entry["md5"][2:]


def main() -> None:
    """Read the command line and publish.

    Raises:
        InputError: see `publish`.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    publish(parser.parse_args().folder)


if __name__ == "__main__":
    errors.run(main, runtime.ADVICE)
