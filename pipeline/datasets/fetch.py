"""Download of published files: mirrors in order, resumed transfers, checksums verified before a file is kept.

pooch handles the temporary file, move and retries. The transfer itself is here because pooch's does not resume and
accepts plain HTTP, and the checksum because pooch cannot verify the content of a gzip file. Files are kept in the
user's cache because DVC empties data/raw before the stage runs.
"""

import gzip
import hashlib
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlparse
from urllib.request import url2pathname

import pooch
import requests
from filelock import FileLock
from rich.progress import DownloadColumn, Progress

from digits import errors
from digits.errors import InputError
from pipeline.datasets.arrays import ADVICE
from pipeline.datasets.records import File, Record

TIMEOUT = (10, 60)  # seconds: to connect, between two bytes
RETRIES = 2


def fetch(name: str, record: Record, folder: Path, mirror: str | None = None, cache: Path | None = None) -> None:
    """Put the files of `record`, called `name`, into `folder`, each verified.

    Args:
        mirror: tried before the record's own mirrors: an HTTPS or file:// address, or a folder. It has the files, or a
            folder `name` that has them.
        cache: where transfers are kept; the user's cache by default.

    Raises:
        InputError: no mirror has a file; lists each mirror and its error.
    """
    pooch.get_logger().setLevel("ERROR")  # errors are reported together
    cache = cache or Path(pooch.os_cache("mnist-pipeline")) / (record.source or name)
    mirrors = ([mirror, f"{mirror.rstrip('/')}/{name}"] if mirror else []) + list(record.mirrors)
    folder.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    for file in record.files:
        with FileLock(cache / f"{file.name}.lock"):  # clones share the cache
            cached = _cached(file, mirrors, cache)
        shutil.copyfile(cached, folder / f"{file.name}.part")
        (folder / f"{file.name}.part").replace(folder / file.name)


def verify(folder: Path, file: File) -> None:
    """Check the checksum of `file` in `folder`.

    Raises:
        InputError: another checksum, or no such file.
    """
    found = _checksum(folder / file.name, file)
    if found != file.checksum:
        raise InputError(f"{folder / file.name}: expected {file.kind} {file.checksum}, found {found}. {ADVICE}")


def _checksum(path: Path, file: File) -> str:
    """Return the checksum of the kind that `file` has, of the file at `path`, or why there is none."""
    try:
        with gzip.open(path) if file.kind == "SHA-256 of the content" else path.open("rb") as stream:
            return hashlib.file_digest(stream, "md5" if file.kind == "MD5" else "sha256").hexdigest()
    except FileNotFoundError:
        return "no such file"
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return f"a broken gzip file ({error})"


def _cached(file: File, mirrors: list[str], cache: Path) -> Path:
    kept = cache / file.name
    if _checksum(kept, file) == file.checksum:
        return kept
    kept.unlink(missing_ok=True)
    reasons = []
    for mirror in mirrors:
        store = pooch.create(cache, base_url=_as_url(mirror), registry={file.name: None}, retry_if_failed=RETRIES)
        try:
            return Path(store.fetch(file.name, downloader=_downloader(file)))
        except (ValueError, OSError) as error:  # requests' errors are OSErrors
            if getattr(error, "errno", None) in errors.DISK_FULL:
                raise  # not an error of the mirror
            reasons.append(f"  {mirror}\n    {error}")
    raise InputError(
        f"could not get {file.name} ({file.kind} {file.checksum}):\n"
        + "\n".join(reasons)
        + "\nWhat to do: set DATASET_MIRROR to an address or a folder that has the file, or put the file into\n"
        f"  {cache}\nor run `make quickstart`, which needs no network."
    )


def _downloader(file: File) -> Callable[[str, str, Any], None]:
    """Return pooch's interface of a downloader: a function that downloads `file` from a URL to a path, verified."""

    def download(url: str, output: str, _store: Any) -> None:
        _transfer(url, Path(output))
        found = _checksum(Path(output), file)
        if found != file.checksum:
            raise ValueError(f"{url}: expected {file.kind} {file.checksum}, found {found}")

    return download


def _as_url(mirror: str) -> str:
    url = mirror if "://" in mirror else Path(mirror).expanduser().resolve().as_uri()
    return url.rstrip("/") + "/"


def _transfer(url: str, output: Path) -> None:
    """Download `url` to the file `output`."""
    parts = urlparse(url)
    if parts.scheme == "file":
        shutil.copyfile(url2pathname(parts.path), output)
        return
    _check_scheme(url)
    part = output.with_name(f"{Path(parts.path).name}.part")  # survives a broken connection
    done = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    with requests.get(
        url, headers=headers, stream=True, timeout=TIMEOUT, hooks={"response": _check_redirect}
    ) as response:
        if response.status_code == requests.codes.not_found:
            raise FileNotFoundError(f"{url}: 404, not found")  # which pooch does not retry
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            done = 0
        total = done + int(response.headers.get("Content-Length", 0)) or None
        with (
            part.open("ab" if done else "wb") as file,
            Progress(*Progress.get_default_columns(), DownloadColumn(), transient=True) as progress,
        ):
            task = progress.add_task(part.stem, total=total, completed=done)
            for chunk in response.iter_content(2**16):
                file.write(chunk)
                progress.advance(task, len(chunk))
    part.replace(output)


def _check_redirect(response: requests.Response, **_: Any) -> None:
    if response.is_redirect:
        _check_scheme(urljoin(response.url, response.headers["Location"]))


def _check_scheme(url: str) -> None:
    parts = urlparse(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")):
        raise ValueError(f"{url}: expected https:// (http:// to localhost only), file:// or a folder")
