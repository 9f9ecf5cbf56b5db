"""uvicorn, with graceful shutdown and a timeout for idle connections."""

import signal
import socket
import time
from types import FrameType
from typing import Any

import uvicorn

from digits.server.app import Service, log

IDLE_TIMEOUT = 10.0  # seconds without a request after which a connection is closed
SHUTDOWN_TIMEOUT = 15  # seconds that running requests get to finish


class Server(uvicorn.Server):
    """A server that, after SIGTERM, answers 503 at /readyz for `drain` seconds, then finishes running requests."""

    def __init__(self, service: Service, host: str, port: int, drain: float = 0.0, proxies: str = "") -> None:
        """Serve `service` on `host` and `port`; trust X-Forwarded-For of `proxies`, comma-separated addresses."""
        super().__init__(
            uvicorn.Config(
                service,
                host=host,
                port=port,
                access_log=False,
                log_level="warning",
                server_header=False,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies or None,
                timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
                ws="none",
            )
        )
        self._service, self._drain = service, drain
        self._stop_at: float | None = None
        self._idle: dict[Any, tuple[object, float]] = {}  # by connection: its last request, and since when it is idle

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and log the address."""
        await super().startup(sockets)
        for listener in self.servers if self.started else ():
            host, port = listener.sockets[0].getsockname()[:2]
            log(event="start", url=f"http://{host}:{port}", **self._service.model)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop after `drain` seconds; at once on SIGINT or on a second signal."""
        self._service.ready = False
        if self._stop_at is not None or sig == signal.SIGINT:
            self.force_exit = self.should_exit
            self.should_exit = True
        else:
            self._stop_at = time.monotonic() + self._drain

    async def on_tick(self, counter: int) -> bool:
        """Check the timeouts; uvicorn calls this ten times per second until it returns True."""
        now = time.monotonic()
        if self._stop_at is not None and now >= self._stop_at:
            self.should_exit = True
        if counter % 10 == 0:
            self._close_idle(now)
        return await super().on_tick(counter)

    def _close_idle(self, now: float) -> None:
        """Close connections without a running request on which none has begun for IDLE_TIMEOUT seconds."""
        idle = {}
        for connection in self.server_state.connections:
            cycle: Any = getattr(connection, "cycle", None)
            if cycle is None or cycle.response_complete:
                last, since = self._idle.get(connection, (cycle, now))
                idle[connection] = (cycle, since if last is cycle else now)
                if now - idle[connection][1] > IDLE_TIMEOUT:
                    connection.transport.close()
        self._idle = idle
