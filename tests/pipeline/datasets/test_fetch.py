import errno
import functools
import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from digits.errors import InputError
from pipeline.datasets import decoders, fetch
from pipeline.datasets.records import File, Record

CONTENT = bytes(range(256)) * 4000  # a megabyte: several chunks
FILE = File("images", hashlib.sha256(CONTENT).hexdigest())
OTHER = (CONTENT[1:], b"51")  # with checksums above and below that of CONTENT
RETRIES = fetch.RETRIES
RECORD = Record("title", "origin", "licence", "citation", (), (FILE,), decoders.mnist, train=1, test=1)


@pytest.fixture(autouse=True)
def _no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RETRIES", 0)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; once breaks off after `server.cut` bytes or answers with the status `server.fails`;
    records Range headers, and ignores them unless `server.resumes`.
    """

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        if self.path.startswith("/nothing/"):
            self.send_error(404)
            return
        if self.path == "/elsewhere/images":
            self.send_response(302)
            self.send_header("Location", "http://mirror.invalid/images")
            self.end_headers()
            return
        if self.server.fails:
            status, self.server.fails = self.server.fails, None
            self.send_error(status)
            return
        start = int(self.headers["Range"][6:-1]) if "Range" in self.headers and self.server.resumes else 0
        if start >= len(self.server.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.server.content) - start))
        self.end_headers()
        cut, self.server.cut = self.server.cut, None
        self.wfile.write(self.server.content[start:cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.ranges, server.cut, server.fails, server.resumes = CONTENT, [], None, None, True
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(tmp_path: Path, *mirrors: str, mirror: str | None = None) -> bytes:
    fetch.fetch("test", replace(RECORD, mirrors=mirrors), tmp_path / "raw", mirror, tmp_path / "cache")
    return (tmp_path / "raw/images").read_bytes()


def test_files_come_over_http(tmp_path: Path, server, capsys: pytest.CaptureFixture[str]) -> None:
    assert get(tmp_path, server.address) == CONTENT
    assert not capsys.readouterr().out.strip()  # the progress bar does not stay
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["images"]


def test_files_come_from_folders_and_file_addresses(tmp_path: Path) -> None:
    (tmp_path / "a mirror").mkdir()
    (tmp_path / "a mirror/images").write_bytes(CONTENT)
    assert get(tmp_path / "1", mirror=str(tmp_path / "a mirror")) == CONTENT
    assert get(tmp_path / "2", mirror=(tmp_path / "a mirror").as_uri()) == CONTENT


def test_the_given_mirror_comes_first(tmp_path: Path, server) -> None:
    (tmp_path / "images").write_bytes(CONTENT)
    assert get(tmp_path, server.address, mirror=str(tmp_path)) == CONTENT
    assert server.ranges == []


def test_the_next_mirror_follows_a_failure(tmp_path: Path, server) -> None:
    assert get(tmp_path, str(tmp_path / "nothing"), server.address) == CONTENT


def test_a_cached_file_needs_no_mirror(tmp_path: Path, server) -> None:
    get(tmp_path, server.address)
    assert get(tmp_path, "http://127.0.0.1:9/") == CONTENT


def test_a_broken_transfer_is_resumed(tmp_path: Path, server) -> None:
    server.cut = 300_000
    with pytest.raises(InputError):
        get(tmp_path, server.address)
    assert not (tmp_path / "raw/images").exists()
    assert get(tmp_path, server.address) == CONTENT
    first, second = server.ranges
    assert first is None
    assert 0 < int(second[6:-1]) <= 300_000


def test_a_server_that_does_not_resume_sends_the_whole_file(tmp_path: Path, server) -> None:
    server.cut = 300_000
    with pytest.raises(InputError):
        get(tmp_path, server.address)
    server.resumes = False
    assert get(tmp_path, server.address) == CONTENT
    assert server.ranges[1]


def test_a_partial_file_that_is_too_long_is_deleted(tmp_path: Path, server) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/images.part").write_bytes(CONTENT + b"!")
    with pytest.raises(InputError, match="416"):
        get(tmp_path, server.address)
    assert get(tmp_path, server.address) == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT) + 1}-", None]


def test_a_partial_file_survives_an_error_of_the_server(tmp_path: Path, server) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/images.part").write_bytes(CONTENT[:1000])
    server.fails = 503
    with pytest.raises(InputError, match="503"):
        get(tmp_path, server.address)
    assert get(tmp_path, server.address) == CONTENT
    assert server.ranges == ["bytes=1000-"] * 2


def test_concurrent_clones_share_one_transfer(tmp_path: Path, server) -> None:
    record = replace(RECORD, mirrors=(server.address,))
    threads = [
        threading.Thread(target=fetch.fetch, args=("test", record, tmp_path / str(clone), None, tmp_path / "cache"))
        for clone in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.ranges) == 1
    assert all((tmp_path / str(clone) / "images").read_bytes() == CONTENT for clone in range(8))


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"!", *OTHER])
def test_other_bytes_are_an_error(content: bytes, tmp_path: Path, server) -> None:
    server.content = content
    with pytest.raises(InputError) as caught:
        get(tmp_path, server.address)
    assert FILE.checksum in str(caught.value)
    assert hashlib.sha256(server.content).hexdigest() in str(caught.value)
    assert not (tmp_path / "raw/images").exists()
    server.content = CONTENT
    assert get(tmp_path, server.address) == CONTENT


def test_truncated_files_and_folders_are_errors(tmp_path: Path) -> None:
    (tmp_path / "short").mkdir()
    (tmp_path / "short/images").write_bytes(CONTENT[:-1])
    (tmp_path / "folder/images").mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        get(tmp_path, str(tmp_path / "short"), str(tmp_path / "folder"))
    assert f"expected SHA-256 {FILE.checksum}, found {hashlib.sha256(CONTENT[:-1]).hexdigest()}" in str(caught.value)
    assert "Is a directory" in str(caught.value)


def test_the_error_lists_each_mirror_and_what_to_do(tmp_path: Path) -> None:
    refused = ("http://mirror.invalid/", "dav://mirror.invalid/", "ftp://localhost/", "sftp://localhost/")
    mirrors = (str(tmp_path / "nothing"), *refused, "http://127.0.0.1:9/", "https://127.0.0.1:9/")
    with pytest.raises(InputError) as caught:
        get(tmp_path, *mirrors)
    text = str(caught.value)
    assert all(mirror in text for mirror in mirrors)
    assert text.count("expected https://") == len(refused)
    assert text.count("Connection refused") == 2
    assert "DATASET_MIRROR" in text
    assert "make quickstart" in text


def test_refuses_a_redirect_to_plain_http(tmp_path: Path, server) -> None:
    with pytest.raises(InputError, match=r"http://mirror\.invalid/images: expected https://"):
        get(tmp_path, f"{server.address}/elsewhere")


@pytest.mark.parametrize(("cut", "fails"), [(300_000, None), (None, 500)])
def test_retries(cut: int | None, fails: int | None, tmp_path: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RETRIES", 1)
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.cut, server.fails = cut, fails
    assert get(tmp_path, server.address) == CONTENT


def test_a_mirror_is_asked_three_times(tmp_path: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RETRIES", RETRIES)
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.content = CONTENT[1:]
    with pytest.raises(InputError):
        get(tmp_path, server.address)
    assert len(server.ranges) == 3


def test_a_full_disk_is_not_an_error_of_the_mirror(tmp_path: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch, "_transfer", full)
    with pytest.raises(OSError, match="No space left"):
        get(tmp_path, server.address)


def test_a_file_that_a_mirror_lacks_is_asked_for_once(tmp_path: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RETRIES", 5)
    assert get(tmp_path, f"{server.address}/nothing", server.address) == CONTENT
    assert len(server.ranges) == 2


def test_a_mirror_of_several_datasets_has_them_in_folders_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "mirror/test").mkdir(parents=True)
    (tmp_path / "mirror/test/images").write_bytes(CONTENT)
    assert get(tmp_path, mirror=str(tmp_path / "mirror")) == CONTENT


def test_a_damaged_file_in_the_cache_is_downloaded_again(tmp_path: Path, server) -> None:
    get(tmp_path, server.address)
    for damaged in OTHER:
        (tmp_path / "cache/images").write_bytes(damaged)
        assert get(tmp_path, server.address) == CONTENT
    assert len(server.ranges) == 1 + len(OTHER)


def test_datasets_of_one_source_share_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path / "cache")
    (tmp_path / "images").write_bytes(CONTENT)
    record = replace(RECORD, source="family")
    fetch.fetch("first", record, tmp_path / "raw", str(tmp_path))
    (tmp_path / "images").unlink()
    fetch.fetch("second", record, tmp_path / "raw")
    assert (tmp_path / "cache/family/images").read_bytes() == CONTENT
    with pytest.raises(InputError, match="could not get images"):
        fetch.fetch("third", RECORD, tmp_path / "raw")


MD5 = File("images", hashlib.md5(CONTENT).hexdigest(), "MD5")
PACKED = File("images", hashlib.sha256(CONTENT).hexdigest(), "SHA-256 of the content")


@pytest.mark.parametrize("file", [FILE, MD5, PACKED])
def test_each_kind_of_checksum_is_verified(file: File, tmp_path: Path, server) -> None:
    record = replace(RECORD, files=(file,), mirrors=(server.address,))
    server.content = gzip.compress(CONTENT, mtime=1) if file is PACKED else CONTENT
    fetch.fetch("test", record, tmp_path / "raw", None, tmp_path / "cache")
    fetch.verify(tmp_path / "raw", file)
    (tmp_path / "raw/images").write_bytes(gzip.compress(CONTENT[1:]) if file is PACKED else CONTENT[1:])
    message = rf"raw/images: expected {file.kind} {file.checksum}, found \w{{{len(file.checksum)}}}\. Delete it"
    with pytest.raises(InputError, match=message):
        fetch.verify(tmp_path / "raw", file)
    (tmp_path / "raw/images").unlink()
    with pytest.raises(InputError, match=rf"expected {file.kind} {file.checksum}, found no such file"):
        fetch.verify(tmp_path / "raw", file)


def test_the_content_may_be_compressed_in_any_way(tmp_path: Path, server) -> None:
    for level in (1, 9):
        server.content = gzip.compress(CONTENT, level, mtime=level)
        folder, record = tmp_path / str(level), replace(RECORD, files=(PACKED,), mirrors=(server.address,))
        fetch.fetch("test", record, folder, None, folder / "cache")
        assert (folder / "images").read_bytes() == server.content


@pytest.mark.parametrize(
    "content",
    [
        CONTENT,
        gzip.compress(CONTENT)[:-9],
        gzip.compress(CONTENT)[:-1] + b"!",
        gzip.compress(CONTENT)[:10] + b"\xff" * 9,
    ],
    ids=["not compressed", "cut off", "wrong length", "not deflated"],  # the bytes have the time in them
)
def test_other_content_and_broken_gzip_files_are_errors(content: bytes, tmp_path: Path, server) -> None:
    server.content = content
    record = replace(RECORD, files=(PACKED,), mirrors=(server.address,))
    with pytest.raises(InputError, match=r"expected SHA-256 of the content \w{64}, found a broken gzip file"):
        fetch.fetch("test", record, tmp_path / "raw", None, tmp_path / "cache")
    assert not (tmp_path / "cache/images").exists()
