"""A picture to send, a service in this process, and servers in processes of their own."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from digits.model import Classifier
from digits.server.app import Service
from digits.server.limits import Limits
from tests.digits.conftest import ROOT

BEST = ROOT / "models/best"


def seven(size: int = 100) -> Image.Image:
    """Return a 7, black on white, 8 bits."""
    image = Image.new("L", (size, size), 255)
    strokes = [(0.3 * size, 0.2 * size), (0.7 * size, 0.2 * size), (0.45 * size, 0.8 * size)]
    ImageDraw.Draw(image).line(strokes, fill=0, width=max(1, size // 12), joint="curve")
    return image


def star() -> Image.Image:
    """Return a star, which is not a digit, black on white, 8 bits."""
    image = Image.new("L", (200, 200), 255)
    for x, y in ((60, 0), (0, 60), (45, 45), (45, -45)):
        ImageDraw.Draw(image).line((100 - x, 100 - y, 100 + x, 100 + y), fill=0, width=8)
    return image


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the content of `image` as a file."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def service(classifier: Classifier) -> Service:
    return Service(classifier, Limits(), log=False)


class Client:
    """A client of a service in this process."""

    def __init__(self, service: Service, address: str = "127.0.0.1", raises: bool = True) -> None:
        self._transport = httpx.ASGITransport(service, raise_app_exceptions=raises, client=(address, 1))

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://test") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


class Running:
    """A started server: `url` is its address, `events` returns what it has logged."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process, self.log = process, log
        while not (started := [event for event in self.events() if event.get("event") == "start"]):
            assert process.poll() is None, f"the server did not start: {log.read_text()}"
            time.sleep(0.05)
        self.url = started[0]["url"]
        self.port = int(self.url.rsplit(":", 1)[1])

    def events(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]


@contextmanager
def running(folder: Path, *options: str, cwd: Path = ROOT) -> Iterator[Running]:
    """Run a server on a free port, and stop it at the end."""
    if sys.platform == "win32":
        pytest.skip("stops the service by SIGTERM, which Windows lacks")
    command = [sys.executable, "-m", "digits.server", "--port", "0", *options]
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=cwd, stdout=file, stderr=subprocess.STDOUT, text=True)
    try:
        yield Running(process, log)
    finally:
        process.terminate()
        assert process.wait(20) == 0, log.read_text()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a server with a short timeout."""
    with running(tmp_path_factory.mktemp("server"), "--timeout", "2") as found:
        yield found


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """Return a context manager that runs a server with the given options."""
    return lambda *options: running(tmp_path, *options)
