"""What only a server of its own process can show: slow clients, its end, a model that it refuses."""

import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from pipeline.artifact import Classifier
from pipeline.errors import InputError
from pipeline.serve.__main__ import main
from pipeline.serve.app import Service
from pipeline.serve.limits import Limits
from pipeline.serve.server import IDLE, Server
from tests.conftest import ROOT
from tests.serve.conftest import BEST, Running, saved, seven

PICTURE = saved(seven(28))


def opened(port: int, length: int, content: bytes) -> socket.socket:
    """Return a connection on which a picture of `length` bytes was announced, and `content` was sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (length, content))
    return connection


def answer(connection: socket.socket) -> bytes:
    """Return the answer that comes, its body included."""
    found = b""
    while not found.endswith(b"}"):
        found += (part := connection.recv(10_000))
        assert part, f"closed after {found!r}"
    return found


def test_slow_bodies_end_and_hold_up_nobody(server: Running) -> None:
    slow = [opened(server.port, 1_000, b"x") for _ in range(200)]
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


def test_a_length_that_lies(server: Running) -> None:
    """The bytes are counted, whatever was announced."""
    with opened(server.port, 10**12, b"x") as connection:
        for _ in range(5):
            connection.sendall(bytes(1 << 20))
        assert answer(connection).startswith(b"HTTP/1.1 413 ")
    with opened(server.port, len(PICTURE) + 1, PICTURE) as connection:
        connection.shutdown(socket.SHUT_WR)
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    assert not [event for event in server.events() if event.get("status") == 500]


class Connection:
    """What the server looks at in a connection of uvicorn's."""

    def __init__(self, cycle: object) -> None:
        self.cycle, self.transport, self.open = cycle, self, True

    def close(self) -> None:
        self.open = False


def test_connections_that_say_nothing_are_closed(classifier: Classifier) -> None:
    server = Server(Service(classifier, Limits(), log=False), "127.0.0.1", 0)
    silent, busy = Connection(None), Connection(SimpleNamespace(response_complete=False))
    once, again = (Connection(SimpleNamespace(response_complete=True)) for _ in range(2))
    server.server_state.connections = {silent, busy, once, again}  # type: ignore[assignment]
    server._hang_up(0)
    again.cycle = SimpleNamespace(response_complete=True)
    server._hang_up(IDLE / 2)
    assert silent.open
    server._hang_up(IDLE + 0.1)
    assert [connection.open for connection in (silent, busy, once, again)] == [False, True, False, True]


def test_its_end(start: Callable[..., Any]) -> None:
    """Told to end, it says so at /readyz, and still answers a request that had begun."""
    with start("--drain", "1") as running:
        assert httpx.get(f"{running.url}/readyz").status_code == 200
        begun = opened(running.port, len(PICTURE), PICTURE[:50])
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


def test_does_not_start_with_a_damaged_model(tmp_path: Path) -> None:
    shutil.copytree(BEST, tmp_path / "model")
    model = tmp_path / "model/model.onnx"
    content = bytearray(model.read_bytes())
    content[1_000] ^= 1
    model.write_bytes(content)
    command = [sys.executable, "-m", "pipeline.serve", "--port", "0", "--model", str(tmp_path / "model")]
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
def test_does_not_start_with_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["serve", "--model", str(tmp_path), *options])
    with pytest.raises(InputError, match=message):
        main()
