"""A digit to send, a service in this process, and servers of their own process."""

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

from pipeline.artifact import Classifier
from pipeline.serve.app import Service
from pipeline.serve.limits import Limits
from tests.conftest import ROOT

BEST = ROOT / "models/best"


def seven(size: int = 100) -> Image.Image:
    """Return a seven, black on white, 8 bits."""
    image = Image.new("L", (size, size), 255)
    strokes = [(0.3 * size, 0.2 * size), (0.7 * size, 0.2 * size), (0.45 * size, 0.8 * size)]
    ImageDraw.Draw(image).line(strokes, fill=0, width=max(1, size // 12), joint="curve")
    return image


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return `image` as the bytes of a file."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier.load(BEST)


@pytest.fixture(scope="module")
def service(classifier: Classifier) -> Service:
    return Service(classifier, Limits(), log=False)


class Client:
    """Asks a service in this process."""

    def __init__(self, service: Service, address: str = "127.0.0.1", raises: bool = True) -> None:
        self._transport = httpx.ASGITransport(service, raise_app_exceptions=raises, client=(address, 1))

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://test") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


class Running:
    """A server that was started; `url` is its address, `events` what it has logged so far."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process, self._log = process, log
        while not (started := [event for event in self.events() if event.get("event") == "start"]):
            assert process.poll() is None, f"it did not start: {log.read_text()}"
            time.sleep(0.05)
        self.url = started[0]["url"]
        self.port = int(self.url.rsplit(":", 1)[1])

    def events(self) -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]


@contextmanager
def running(folder: Path, *options: str, cwd: Path = ROOT) -> Iterator[Running]:
    """Run a server on a free port, and end it."""
    command = [sys.executable, "-m", "pipeline.serve", "--port", "0", *options]
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
    """Return a server with little patience."""
    with running(tmp_path_factory.mktemp("server"), "--seconds", "2") as found:
        yield found


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """Return a context manager that runs a server with options of one's own."""
    return lambda *options: running(tmp_path, *options)
