import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from digits.errors import InputError
from pipeline.datasets import fetch, records
from pipeline.datasets.records import File, Record

CONTENT = bytes(range(256)) * 4000  # a megabyte: several chunks
FILE = File("images", hashlib.sha256(CONTENT).hexdigest())
RECORD = Record("title", "origin", "licence", mirrors=(), files={"train_images": FILE}, train=1, test=1, shape=(28, 28))


@pytest.fixture(autouse=True)
def _no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RETRIES", 0)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; breaks off after `server.cut` bytes once; records Range headers."""

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        if self.path == "/elsewhere/images":
            self.send_response(302)
            self.send_header("Location", "http://mirror.invalid/images")
            self.end_headers()
            return
        start = int(self.headers["Range"][6:-1]) if "Range" in self.headers else 0
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
    server.content, server.ranges, server.cut = CONTENT, [], None
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


def test_files_come_over_http(tmp_path: Path, server) -> None:
    assert get(tmp_path, server.address) == CONTENT
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


def test_wrong_bytes_of_the_expected_size_are_an_error(tmp_path: Path, server) -> None:
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(InputError) as caught:
        get(tmp_path, server.address)
    assert FILE.sha256 in str(caught.value)
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
    assert "does not match" in str(caught.value)
    assert "Is a directory" in str(caught.value)


def test_the_error_lists_each_mirror_and_what_to_do(tmp_path: Path) -> None:
    mirrors = (str(tmp_path / "nothing"), "http://mirror.invalid/", "ftp://mirror.invalid/", "http://127.0.0.1:9/")
    with pytest.raises(InputError) as caught:
        get(tmp_path, *mirrors)
    text = str(caught.value)
    assert all(mirror in text for mirror in mirrors)
    assert text.count("expected https://") == 2
    assert "refused" in text
    assert "MNIST_MIRROR" in text
    assert "make quickstart" in text


def test_refuses_a_redirect_to_plain_http(tmp_path: Path, server) -> None:
    with pytest.raises(InputError, match=r"http://mirror\.invalid/images: expected https://"):
        get(tmp_path, f"{server.address}/elsewhere")


def test_retries(tmp_path: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "RETRIES", 1)
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.cut = 300_000
    assert get(tmp_path, server.address) == CONTENT


def test_mnist_is_as_published() -> None:
    mnist = records.get("mnist")
    assert (mnist.train, mnist.test, mnist.shape) == (60_000, 10_000, (28, 28))
    assert all(mirror.startswith("https://") for mirror in mnist.mirrors)


def test_unknown_dataset() -> None:
    with pytest.raises(InputError, match=r"dataset: found 'minst'. Allowed: mnist, digits"):
        records.get("minst")
