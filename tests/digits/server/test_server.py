"""The server in a process of its own: slow clients, shutdown, invalid options."""

import json
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from digits.errors import InputError
from digits.model import Classifier
from digits.server import __main__ as entry
from digits.server.app import Service
from digits.server.cli import main
from digits.server.limits import Limits
from digits.server.server import IDLE_TIMEOUT, Server
from tests.digits.conftest import ROOT
from tests.digits.server.conftest import BEST, Running, saved, seven

PICTURE = saved(seven(28))


def connect(port: int, length: int, content: bytes) -> socket.socket:
    """Return a connection on which `content` was sent, with a Content-Length of `length`."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (length, content))
    return connection


def answer(connection: socket.socket) -> bytes:
    """Return the whole response."""
    found = b""
    while not found.endswith(b"}"):
        found += (part := connection.recv(10_000))
        assert part, f"closed after {found!r}"
    return found


def test_slow_bodies_time_out_and_do_not_delay_other_requests(server: Running) -> None:
    slow = [connect(server.port, 1_000, b"x") for _ in range(200)]
    with httpx.Client(base_url=server.url) as client:
        for _ in range(5):
            assert client.post("/predict", content=PICTURE).json()["text"] == "7"
    answered, _, _ = select.select(slow, [], [], 0)
    for connection in slow:
        with connection:
            found = answer(connection)
            assert found.startswith(b"HTTP/1.1 400 ")
            assert b"expected the whole body within 2 seconds, found 1 bytes." in found
    assert not answered


def test_a_wrong_content_length_is_ignored(server: Running) -> None:
    with connect(server.port, 10**12, b"x") as connection:
        for _ in range(5):
            connection.sendall(bytes(1 << 20))
        assert answer(connection).startswith(b"HTTP/1.1 413 ")
    with connect(server.port, len(PICTURE) + 1, PICTURE) as connection:
        connection.shutdown(socket.SHUT_WR)
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    assert not [event for event in server.events() if event.get("status") == 500]


class Connection:
    """The parts of a uvicorn connection that the server uses."""

    def __init__(self, cycle: object) -> None:
        self.cycle, self.transport, self.open = cycle, self, True

    def close(self) -> None:
        self.open = False


def test_idle_connections_are_closed(classifier: Classifier) -> None:
    server = Server(Service(classifier, Limits(), log=False), "127.0.0.1", 0)
    silent, busy = Connection(None), Connection(SimpleNamespace(response_complete=False))
    once, again = (Connection(SimpleNamespace(response_complete=True)) for _ in range(2))
    server.server_state.connections = {silent, busy, once, again}  # type: ignore[assignment]
    server._close_idle(0)
    again.cycle = SimpleNamespace(response_complete=True)
    server._close_idle(IDLE_TIMEOUT / 2)
    assert silent.open
    server._close_idle(IDLE_TIMEOUT + 0.1)
    assert [connection.open for connection in (silent, busy, once, again)] == [False, True, False, True]


def test_shutdown_drains_and_finishes_running_requests(start: Callable[..., Any]) -> None:
    with start("--drain", "1") as running:
        assert httpx.get(f"{running.url}/readyz").status_code == 200
        begun = connect(running.port, len(PICTURE), PICTURE[:50])
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert httpx.get(f"{running.url}/readyz").json() == {"error": "shutting down."}
        time.sleep(1.2)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{running.url}/readyz")
        with begun:
            begun.sendall(PICTURE[50:])
            assert answer(begun).startswith(b"HTTP/1.1 200 ")
        assert running.process.wait(10) == 0
        assert running.events()[-1]["event"] == "end"


def test_a_damaged_model_prevents_the_start(tmp_path: Path) -> None:
    shutil.copytree(BEST, tmp_path / "model")
    model = tmp_path / "model/model.onnx"
    content = bytearray(model.read_bytes())
    content[1_000] ^= 1
    model.write_bytes(content)
    command = [sys.executable, "-m", "digits.server", "--port", "0", "--model", str(tmp_path / "model")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {model}: expected SHA-256")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--queue", "0"], "expected limits above 0"),
        (["--rate", "-1"], "expected limits"),
        ([], "model.onnx not found"),
    ],
)
def test_invalid_options_prevent_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["digits-serve", "--model", str(tmp_path), *options])
    with pytest.raises(InputError, match=message):
        main()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("fastapi", "digits.server."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("digits.server.cli", raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(InputError, match=r"expected fastapi, not installed. Run `pip install mnist-digits\[serve\]`"):
        entry.main()


def test_a_broken_picture_is_one_line_of_the_log(start: Callable[..., Any]) -> None:
    tags = b"".join(struct.pack("<HHLL", 0x0100 + number, 2, 5_000, 60_000) for number in range(9))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 9) + tags + b"\0\0\0\0"
    readable = [saved(seven(side), kind, exif=exif) for side in (28, 100) for kind in ("PNG", "JPEG")]
    with start() as server:
        for content in readable:
            assert httpx.post(f"{server.url}/predict", content=content).status_code == 200
        answer = httpx.post(f"{server.url}/predict", content=saved(seven())[:-40])
        assert answer.status_code == 422
        assert "found a broken one" in answer.json()["error"]
    lines = server.log.read_text().splitlines()
    assert [json.loads(line).get("status") for line in lines] == [None, 200, 200, 200, 200, 422, None]
