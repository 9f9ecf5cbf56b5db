"""How much, how long, how many, how often; and what is said to whoever asks for more."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # Pillow's names; no other decoder is tried
Result = TypeVar("Result")
CLIENTS = 10_000  # whose rate is remembered at once; those that asked longest ago are forgotten


@dataclass(frozen=True)
class Limits:
    """What one service takes on.

    Attributes:
        size: bytes of a request's body.
        pixels: of a picture, by its header.
        seconds: for a body to arrive, and again for its answer.
        queue: small pictures that may wait for their turn; of large ones, a quarter of that.
        rate: pictures a second of one client, and as many at once; 0 is no limit.
        threads: large pictures that are read at the same time.
    """

    size: int = 1 << 20
    pixels: int = 4_000_000
    seconds: float = 5.0
    queue: int = 32
    rate: float = 2_000.0
    threads: int = 1


class RefusedError(Exception):
    """A request that is not answered: its HTTP status, and a text that says what was expected and found."""

    def __init__(self, status: int, text: str, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status, self.retry_after = status, retry_after


class Rate:
    """A bucket of tokens for each client: it holds `rate` of them, and is filled with as many in a second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, and when that was

    def take(self, client: str, now: float | None = None) -> None:
        """Take a token of `client`, at the second `now`.

        Raises:
            RefusedError: it has none left.
        """
        if not self._rate:
            return
        now = time.monotonic() if now is None else now
        most = max(self._rate, 1.0)
        left, since = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - since) * self._rate)
        self._buckets[client] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        if left < 1:
            wait = math.ceil((1 - left) / self._rate)
            raise RefusedError(
                429, f"expected at most {self._rate:g} pictures a second from one client, found more.", wait
            )


class Batch:
    """Short work for the thread of the event loop: what came in one turn of the loop is done together in the next.

    Between two batches the loop hears everybody, and whoever finds `length` before him is sent away. So refusing takes
    little time from answering, and answering none from refusing.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._jobs: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def check(self) -> None:
        """Raise a RefusedError if no more can wait."""
        _check(len(self._jobs), self._length)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, when its turn has come.

        Raises:
            RefusedError: too many wait already.
        """
        self.check()
        loop = asyncio.get_running_loop()
        if not self._jobs:
            loop.call_soon(self._do)
        result: asyncio.Future[Result] = loop.create_future()
        self._jobs.append((work, result))
        return await result

    def _do(self) -> None:
        jobs, self._jobs = self._jobs, []
        for work, result in jobs:
            if not result.done():  # nobody waits any more
                try:
                    result.set_result(work())
                except Exception as error:
                    result.set_exception(error)


class Threads:
    """Longer work, on `count` threads; `length` may wait for one, or be under way, for so many `seconds`."""

    def __init__(self, count: int, length: int, seconds: float) -> None:
        self._length, self._seconds = length, seconds
        self._pool = ThreadPoolExecutor(count, "reader")
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns.

        Raises:
            RefusedError: too many wait already, or the seconds are over.
        """
        _check(self._waiting, self._length)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except TimeoutError:
            text = f"expected to answer within {self._seconds:g} seconds, found too much to do."
            raise RefusedError(503, text, 1) from None
        finally:
            self._waiting -= 1


def _check(waiting: int, length: int) -> None:
    if waiting >= length:
        raise RefusedError(503, f"expected at most {length} such requests at once, found more.", 1)
