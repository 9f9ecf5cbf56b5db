"""The ASGI application: routes, headers, log.

    app = Service(Classifier.load(), Limits())

Pictures of MNIST's size run on the thread of the event loop, since they take less time than a switch of threads. Larger
pictures run on other threads and do not block the small ones.
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

from digits.errors import InputError
from digits.images import decode
from digits.interface import SIZE
from digits.model import Classifier
from digits.recognise import Reading, read
from digits.server import schemas, uploads
from digits.server.limits import FORMATS, Limits, LoopQueue, RateLimiter, RefusedError, ThreadQueue
from digits.server.metrics import Metrics

PAGE = Path(__file__).parent / "page"
MAX_SMALL = 32 * 32  # pixels of the largest picture that runs on the event loop
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
METHODS = ("GET", "HEAD", "POST", "OPTIONS")  # with their own label in the metrics
FILES = {"/": "index.html"} | {f"/{name}": name for name in ("page.css", "page.js", "pad.js", "icon.svg")}


class Service:
    """The ASGI application. Wraps FastAPI's: adds headers to all responses, counts them and logs them.

    Attributes:
        model: name and SHA-256 of the model.
        ready: whether /readyz answers 200; the server sets it to False before it stops.
    """

    def __init__(self, classifier: Classifier, limits: Limits, origins: tuple[str, ...] = (), log: bool = True) -> None:
        """Serve `classifier` within `limits`.

        Args:
            classifier: the model.
            limits: of requests.
            origins: whose pages may call the API (CORS).
            log: whether to write a line per request to stdout.
        """
        self.model = {"model": str(classifier.metadata.get("name")), "sha256": classifier.metadata["sha256"]}
        self.ready = True
        self._classifier, self._limits, self._log = classifier, limits, log
        classifier.predict(np.zeros((1, 1, SIZE, SIZE), np.float32))  # warm-up
        self._metrics = Metrics(self.model)
        self._rate = RateLimiter(limits.rate)
        self._small = LoopQueue(limits.queue)
        self._large = ThreadQueue(limits.threads, max(1, limits.queue // 4), limits.timeout)
        self._metrics.waiting.set_function(lambda: len(self._small) + len(self._large))
        api = self._routes()
        self._paths = {getattr(route, "path", "") for route in api.routes}  # with their own label in the metrics
        self._api = api
        self._app: ASGIApp = self._admit
        if origins:  # outermost, because pages must be able to read refusals too
            self._app = CORSMiddleware(
                self._admit,
                origins,
                allow_methods=["GET", "POST"],
                allow_headers=["content-type"],
                expose_headers=["retry-after"],
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
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
            self._metrics.count_request(
                scope["method"] if scope["method"] in METHODS else "other", path, status, seconds
            )
            if self._log:
                request = {"method": scope["method"], "path": scope["path"], "status": status}
                log(**request, milliseconds=round(1_000 * seconds, 2), bytes=size, client=_client(scope))

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        await (await self._refuse(scope) or self._api)(scope, receive, send)

    async def _refuse(self, scope: Scope) -> Response | None:
        """Return the refusal of a request over the limits, else None. Runs before FastAPI, to keep refusals cheap."""
        try:
            if scope["path"] == "/predict":
                self._rate.take(_client(scope))
                self._small.check()
        except RefusedError as error:
            return await _answer_refused(Request(scope), error)
        return None

    async def _predict(self, request: Request) -> Response:
        """Recognise the digits in a picture: PNG, JPEG, WebP or BMP, dark ink on bright paper or the reverse."""
        images = request.query_params.get("images", "false")
        if images not in ("true", "false"):
            raise RefusedError(422, f"expected images=true or images=false, found images={images}.")
        body = await uploads.receive_body(request.receive, self._limits)
        content = uploads.extract_picture(request.headers.get("content-type", ""), body)
        job = partial(self._recognise, content)
        small = uploads.count_pixels(content, self._limits) <= MAX_SMALL
        try:
            digits, rejected = await (self._small.run(job) if small else self._large.run(job))
        except InputError as error:
            raise RefusedError(422, str(error)) from None
        self._metrics.count_picture(digits)
        answer: dict[str, Any] = {
            "text": "".join(str(digit.digit) for digit in digits),
            "digits": [digit.to_dict() for digit in digits],
            "rejected": [each.to_dict() for each in rejected],
        }
        if images == "true":
            answer["images"] = [_png(digit.image) for digit in digits]
        return Response(json.dumps(answer), headers={"cache-control": "no-store"}, media_type="application/json")

    def _recognise(self, content: bytes) -> Reading:
        picture = decode(content, "picture", FORMATS, self._limits.max_pixels)
        digits, rejected = read(self._classifier, picture.grey)
        return Reading(picture.in_file(digits), picture.in_file(rejected))

    def _routes(self) -> FastAPI:
        """Return the routes. The docstrings of the functions in here appear in /openapi.json."""
        api = FastAPI(
            title="Digits", version="1", summary="Recognises handwritten digits", docs_url=None, redoc_url=None
        )
        api.router.add_api_route(
            "/predict",
            self._predict,
            methods=["POST"],
            response_model=schemas.Prediction,
            responses=schemas.ERRORS | {200: {"content": {"application/json": {"example": schemas.EXAMPLE}}}},
            openapi_extra=schemas.REQUEST,
            route_class_override=_RawRoute,
        )

        @api.get("/model", response_model=schemas.ModelMetadata)
        async def model() -> Response:
            """Return the metadata of the model, the content of model.json."""
            return JSONResponse(self._classifier.metadata)

        @api.get("/healthz", response_model=schemas.Status)
        async def healthz() -> Response:
            """Return whether the service is alive."""
            return JSONResponse({"status": "alive"})

        @api.get("/readyz", response_model=schemas.Status, responses={503: {"model": schemas.Error}})
        async def readyz() -> Response:
            """Return whether the service accepts requests."""
            if not self.ready:
                raise RefusedError(503, "shutting down.", 1)
            return JSONResponse({"status": "ready"})

        @api.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
        async def metrics() -> Response:
            """Return all metrics for Prometheus."""
            return Response(self._metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

        for path, name in FILES.items():
            api.api_route(path, methods=["GET", "HEAD"], include_in_schema=False)(_file(PAGE / name))
        api.exception_handler(RefusedError)(_answer_refused)
        api.exception_handler(HTTPException)(_answer_http_error)
        api.exception_handler(Exception)(_answer_internal_error)
        return api


class _RawRoute(APIRoute):
    """A route whose endpoint gets the raw request. FastAPI's parsing takes as long as a small picture."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


def log(**event: Any) -> None:
    """Write one line of JSON to stdout: the time and `event`. Neither pictures nor results are ever logged."""
    sys.stdout.write(json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **event}) + "\n")
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


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, {"cache-control": "no-store", **(headers or {})})


async def _answer_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _error(error.status, str(error), {"retry-after": str(error.retry_after)} if error.retry_after else None)


async def _answer_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, str(error.detail), error.headers)


async def _answer_internal_error(_: Request, __: Exception) -> Response:
    return _error(500, "internal error; see the log of the service.")
