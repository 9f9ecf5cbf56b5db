"""Limits of the service: size, time, queue length and rate."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # Pillow's names; no other decoder is tried
MAX_CLIENTS = 10_000  # whose rate is tracked; the least recent client is dropped first

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """The limits of one service.

    Attributes:
        max_bytes: of the body of a request.
        max_pixels: of a picture, according to its header.
        timeout: seconds to receive a body, and again to answer.
        queue: largest number of small pictures in the queue; of large ones, a quarter of it.
        rate: pictures per second and client, also the size of a burst; 0 for no limit.
        threads: that process large pictures.
    """

    max_bytes: int = 1 << 20
    max_pixels: int = 4_000_000
    timeout: float = 5.0
    queue: int = 32
    rate: float = 2_000.0
    threads: int = 1


class RefusedError(Exception):
    """A request that is refused.

    Attributes:
        status: HTTP status.
        retry_after: seconds after which the client may try again.
    """

    def __init__(self, status: int, text: str, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status, self.retry_after = status, retry_after


class RateLimiter:
    """A token bucket per client: it holds `rate` tokens and gains `rate` tokens per second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, and when

    def take(self, client: str, now: float | None = None) -> None:
        """Take a token from the bucket of `client`.

        Args:
            client: address.
            now: seconds of a monotonic clock.

        Raises:
            RefusedError: the bucket is empty.
        """
        if not self._rate:
            return
        now = time.monotonic() if now is None else now
        capacity = max(self._rate, 1.0)
        tokens, since = self._buckets.pop(client, (capacity, now))
        tokens = min(capacity, tokens + (now - since) * self._rate)
        self._buckets[client] = (tokens - 1 if tokens >= 1 else tokens, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if tokens < 1:
            wait = math.ceil((1 - tokens) / self._rate)
            text = f"expected at most {self._rate:g} pictures per second from one client, found more."
            raise RefusedError(429, text, wait)


class LoopQueue:
    """A queue of short jobs that run on the thread of the event loop.

    Runs queued jobs once per event-loop turn, so that overload refuses new requests instead of starving accepted ones.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._jobs: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def check(self) -> None:
        """Raise a RefusedError if the queue is full."""
        _check(len(self._jobs), self._length)

    async def run(self, job: Callable[[], T]) -> T:
        """Queue `job` and return its result.

        Raises:
            RefusedError: the queue is full.
        """
        self.check()
        loop = asyncio.get_running_loop()
        if not self._jobs:
            loop.call_soon(self._run_all)
        result: asyncio.Future[T] = loop.create_future()
        self._jobs.append((job, result))
        return await result

    def _run_all(self) -> None:
        jobs, self._jobs = self._jobs, []
        for job, result in jobs:
            if not result.done():  # otherwise the request was cancelled
                try:
                    result.set_result(job())
                except Exception as error:
                    result.set_exception(error)


class ThreadQueue:
    """A queue of longer jobs that run on `count` threads; at most `length` are queued or running."""

    def __init__(self, count: int, length: int, timeout: float) -> None:
        self._length, self._timeout = length, timeout
        self._pool = ThreadPoolExecutor(count, "recognise")
        self._jobs = 0

    def __len__(self) -> int:
        return self._jobs

    async def run(self, job: Callable[[], T]) -> T:
        """Queue `job` and return its result.

        Raises:
            RefusedError: the queue is full, or the result took longer than the timeout.
        """
        _check(self._jobs, self._length)
        self._jobs += 1
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.get_running_loop().run_in_executor(self._pool, job)
        except TimeoutError:
            text = f"expected to answer within {self._timeout:g} seconds; the service is overloaded."
            raise RefusedError(503, text, 1) from None
        finally:
            self._jobs -= 1


def _check(waiting: int, length: int) -> None:
    if waiting >= length:
        raise RefusedError(503, f"expected at most {length} such requests at once, found more.", 1)
