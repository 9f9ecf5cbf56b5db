"""The service as an ASGI application: routes, headers, log.

    app = Service(Classifier.load("models/best"), Limits())

A picture of MNIST's size is read at once, on the thread of the event loop: that takes a fraction of a millisecond, less
than a second thread costs. Larger ones are read on threads of their own, so that nobody waits for a photograph.
"""

import base64
import io
import json
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.routing import APIRoute
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.artifact import Classifier
from pipeline.errors import InputError
from pipeline.imaging import pictures
from pipeline.reading import Digit, read
from pipeline.serve import answers, uploads
from pipeline.serve.limits import FORMATS, Batch, Limits, Rate, RefusedError, Threads
from pipeline.serve.metrics import Metrics

PAGE = Path(__file__).parent / "page"
SMALL = 32 * 32  # pixels that are read on the event loop
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
METHODS = ("GET", "HEAD", "POST", "OPTIONS")  # that are counted by name
FILES = {"/": "index.html"} | {f"/{name}": name for name in ("page.css", "page.js", "pad.js", "icon.svg")}


class Service:
    """The ASGI application, around FastAPI's: it adds headers to every answer, counts it and logs it.

    Attributes:
        about: the model's name and SHA-256.
        ready: whether /readyz says yes; the server sets it to no when it is about to end.
    """

    def __init__(self, classifier: Classifier, limits: Limits, origins: tuple[str, ...] = (), log: bool = True) -> None:
        """Serve `classifier` within `limits`, to pages of `origins` too; `log` writes a line per request to stdout."""
        self.about = {"model": str(classifier.card.get("name")), "sha256": classifier.card["sha256"]}
        self.ready = True
        self._classifier, self._limits, self._log = classifier, limits, log
        classifier.predict(np.zeros((1, 1, 28, 28), np.float32))  # the first takes longest
        self._metrics = Metrics(self.about)
        self._rate = Rate(limits.rate)
        self._small = Batch(limits.queue)
        self._large = Threads(limits.threads, max(1, limits.queue // 4), limits.seconds)
        self._metrics.waiting.set_function(lambda: len(self._small) + len(self._large))
        api = self._routes()
        self._paths = {getattr(route, "path", "") for route in api.routes}  # that are counted by name
        self._api = api
        self._app: ASGIApp = self._admitted
        if origins:  # around the refusals too, or a page could not read them
            self._app = CORSMiddleware(
                self._admitted,
                origins,
                allow_methods=["GET", "POST"],
                allow_headers=["content-type"],
                expose_headers=["retry-after"],
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        start, status, size = time.perf_counter(), 500, 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        async def received() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            return message

        try:
            await self._app(scope, received, sent)
        finally:
            seconds = time.perf_counter() - start
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.request(scope["method"] if scope["method"] in METHODS else "other", path, status, seconds)
            if self._log:
                facts = {"method": scope["method"], "path": scope["path"], "status": status}
                log(**facts, milliseconds=round(1_000 * seconds, 2), bytes=size, client=_client(scope))

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that may come, or say why it may not."""
        await (await self._refusal(scope) or self._api)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a picture that is one too many, before FastAPI sees it: to refuse must cost little."""
        try:
            if scope["path"] == "/predict":
                self._rate.take(_client(scope))
                self._small.check()
        except RefusedError as error:
            return await _refused(Request(scope), error)
        return None

    async def _predict(self, request: Request) -> Response:
        """Read the digits in a picture: PNG, JPEG, WebP or BMP, dark ink on bright paper or the reverse."""
        images = request.query_params.get("images", "false")
        if images not in ("true", "false"):
            raise RefusedError(422, f"expected images=true or images=false, found images={images}.")
        content = await uploads.body(request.receive, self._limits)
        content = uploads.picture(request.headers.get("content-type", ""), content)
        work = partial(self._read, content)
        small = uploads.pixels(content, self._limits) <= SMALL
        try:
            digits = await (self._small.run(work) if small else self._large.run(work))
        except InputError as error:
            raise RefusedError(422, str(error)) from None
        self._metrics.picture(digits)
        answer: dict[str, Any] = {
            "text": "".join(str(digit.digit) for digit in digits),
            "digits": [digit.facts() for digit in digits],
        }
        if images == "true":
            answer["images"] = [_png(digit.image) for digit in digits]
        return Response(json.dumps(answer), headers={"cache-control": "no-store"}, media_type="application/json")

    def _read(self, content: bytes) -> list[Digit]:
        return read(self._classifier, pictures.decode(content, "picture", FORMATS, self._limits.pixels))

    def _routes(self) -> FastAPI:
        """Return the routes; functions in here are documented for whoever reads /openapi.json."""
        api = FastAPI(title="Digits", version="1", summary="Reads handwritten digits", docs_url=None, redoc_url=None)
        api.router.add_api_route(
            "/predict",
            self._predict,
            methods=["POST"],
            response_model=answers.Reading,
            responses=answers.PROBLEMS | {200: {"content": {"application/json": {"example": answers.EXAMPLE}}}},
            openapi_extra=answers.REQUEST,
            route_class_override=_Direct,
        )

        @api.get("/model", response_model=answers.Card)
        async def model() -> Response:
            """Return model.json: what the model is, learned from, and its SHA-256."""
            return JSONResponse(self._classifier.card)

        @api.get("/healthz", response_model=answers.State)
        async def healthz() -> Response:
            """Say that the service runs."""
            return JSONResponse({"status": "alive"})

        @api.get("/readyz", response_model=answers.State, responses={503: {"model": answers.Problem}})
        async def readyz() -> Response:
            """Say whether new requests are welcome."""
            if not self.ready:
                raise RefusedError(503, "shutting down.", 1)
            return JSONResponse({"status": "ready"})

        @api.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
        async def metrics() -> Response:
            """Return all measures for Prometheus."""
            return Response(self._metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

        for path, name in FILES.items():
            api.api_route(path, methods=["GET", "HEAD"], include_in_schema=False)(_file(PAGE / name))
        api.exception_handler(RefusedError)(_refused)
        api.exception_handler(HTTPException)(_no_such_thing)
        api.exception_handler(Exception)(_mistake)
        return api


class _Direct(APIRoute):
    """A route whose function gets the request as it is, without FastAPI's own reading of it, which takes as long as a
    small picture does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


def log(**facts: Any) -> None:
    """Write one line of JSON to stdout: the time, then `facts`. Pictures and what they say are not among these."""
    sys.stdout.write(json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **facts}) + "\n")
    sys.stdout.flush()


def _client(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else "unknown"


def _png(image: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray((image * 255).round().astype(np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _file(path: Path) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return FileResponse(path, headers={"cache-control": "no-cache"})

    return answer


def _problem(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, {"cache-control": "no-store", **(headers or {})})


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _problem(error.status, str(error), {"retry-after": str(error.retry_after)} if error.retry_after else None)


async def _no_such_thing(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, str(error.detail), error.headers)


async def _mistake(_: Request, __: Exception) -> Response:
    return _problem(500, "a mistake of the service, which its log describes.")
