"""How much, how long, how many, how often; and what is said to whoever asks for more."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # Pillow's names; no other decoder is tried
CLIENTS = 10_000  # whose rate is remembered at once; those that asked longest ago are forgotten


@dataclass(frozen=True)
class Limits:
    """What one service takes on.

    Attributes:
        size: bytes of a request's body.
        pixels: of a picture, by its header.
        seconds: for a body to arrive, and again for its answer.
        queue: small pictures that wait for their turn; of large ones, a quarter of that.
        rate: pictures a second of one client, and as many at once; 0 is no limit.
        threads: large pictures that are read at the same time.
    """

    size: int = 1 << 20
    pixels: int = 4_000_000
    seconds: float = 5.0
    queue: int = 64
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


class Line:
    """Those who wait for one of `places`, first come, first served. Whoever finds `length` of them is sent away."""

    def __init__(self, length: int, places: int = 1) -> None:
        self._length, self._places = length, asyncio.Semaphore(places)
        self.waiting = 0

    @asynccontextmanager
    async def turn(self, seconds: float) -> AsyncIterator[None]:
        """Wait for a turn, and keep it inside the `with`, for `seconds` in all.

        Raises:
            RefusedError: the line is full, or the seconds are over.
        """
        if self.waiting >= self._length:
            raise RefusedError(503, f"expected at most {self._length} requests at once, found more.", 1)
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds), self._places:
                await asyncio.sleep(0)  # all that came at the same moment join the line, or find it full
                yield
        except TimeoutError:
            raise RefusedError(
                503, f"expected to answer within {seconds:g} seconds, found too much to do.", 1
            ) from None
        finally:
            self.waiting -= 1
