"""uvicorn, with a gentle end and no patience for connections that say nothing."""

import signal
import socket
import time
from types import FrameType
from typing import Any

import uvicorn

from pipeline.serve.app import Service, log

IDLE = 10.0  # seconds that a connection may take to send the headers of a request
FINISH = 15  # seconds that requests under way get at the end


class Server(uvicorn.Server):
    """A server that, told to end, first says no at /readyz for `drain` seconds, then finishes what is under way."""

    def __init__(self, service: Service, host: str, port: int, drain: float = 0.0, proxies: str = "") -> None:
        """Listen on `host` and `port`; believe `proxies`, addresses with commas, who their client is."""
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
                timeout_graceful_shutdown=FINISH,
                ws="none",
            )
        )
        self._service, self._drain = service, drain
        self._end: float | None = None
        self._idle: dict[Any, tuple[object, float]] = {}  # of each connection: its last request, and since when

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        for listener in self.servers if self.started else ():
            host, port = listener.sockets[0].getsockname()[:2]
            log(event="start", url=f"http://{host}:{port}", **self._service.about)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End after `drain` seconds, or at once if told so again or by a keyboard."""
        self._service.ready = False
        if self._end is not None or sig == signal.SIGINT:
            self.force_exit = self.should_exit
            self.should_exit = True
        else:
            self._end = time.monotonic() + self._drain

    async def on_tick(self, counter: int) -> bool:
        """Do what is due; uvicorn calls this ten times a second until it returns True."""
        now = time.monotonic()
        if self._end is not None and now >= self._end:
            self.should_exit = True
        if counter % 10 == 0:
            self._hang_up(now)
        return await super().on_tick(counter)

    def _hang_up(self, now: float) -> None:
        """Close connections on which no request is under way, and none has begun for IDLE seconds."""
        idle = {}
        for connection in self.server_state.connections:
            cycle: Any = getattr(connection, "cycle", None)
            if cycle is None or cycle.response_complete:
                last, since = self._idle.get(connection, (cycle, now))
                idle[connection] = (cycle, since if last is cycle else now)
                if now - idle[connection][1] > IDLE:
                    connection.transport.close()
        self._idle = idle
