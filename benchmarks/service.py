"""How fast the service answers over HTTP, and what it does with four times too much: `python -m benchmarks.service`.

The service runs as a process of its own, this one asks it, and both share the machine's cores. The pictures are
MNIST's test images, PNGs of 28x28. First some connections ask again as soon as they are answered; then, for a minute,
four times as many requests a second are sent as were answered before, whether or not answers come; then the first
again. `--overload 10` shortens the minute.
"""

import argparse
import io
import json
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from PIL import Image

import benchmarks
from pipeline.datasets import arrays

PICTURES = 1_000
CONNECTIONS = (1, 4, 8)  # at once in the steady runs
ROUNDS, SECONDS = 3, 5.0  # of each steady run
TIMES, FLOOD = 4, 256  # how much too much, and over how many connections


@dataclass
class Answers:
    """What came back: seconds to each answer, by status; `unsent` fell due when no connection was free."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    unsent: int = 0
    took: float = 0.0

    def facts(self, *statuses: int) -> dict[str, float]:
        """Return how many answers of `statuses` came a second, and how long they took."""
        times = [1_000 * time for status in statuses for time in self.seconds.get(status, [])]
        if not times:
            return {"a_second": 0.0}
        p50, p99 = np.quantile(times, [0.5, 0.99])
        return {
            "a_second": round(len(times) / self.took, 1),
            "milliseconds_p50": round(float(p50), 2),
            "milliseconds_p99": round(float(p99), 2),
        }


def posts(bodies: list[bytes], kind: str) -> list[bytes]:
    """Return `bodies` as requests, ready to be sent."""
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"
    return [head.format(kind, len(body)).encode() + body for body in bodies]


def ask(port: int, requests: list[bytes], connections: int, seconds: float, rate: float | None = None) -> Answers:
    """Send `requests` in turns for `seconds` over so many `connections`, and return what came back.

    Args:
        rate: requests a second that fall due, whether or not answers come; without it, a connection asks again when it
            is answered.
    """
    answers, selector = Answers(), selectors.DefaultSelector()
    free: deque[socket.socket] = deque()
    for _ in range(connections):
        free.append(socket.create_connection(("127.0.0.1", port)))
        selector.register(free[-1], selectors.EVENT_READ)
    since: dict[socket.socket, float] = {}
    received: dict[socket.socket, bytes] = {}
    number, start = 0, time.perf_counter()
    while (now := time.perf_counter() - start) < seconds:
        due = number + len(free) if rate is None else int(now * rate)
        while free and number < due:
            connection = free.popleft()
            connection.sendall(requests[number % len(requests)])
            since[connection] = now if rate is None else number / rate
            received[connection] = b""
            number += 1
        answers.unsent += due - number
        number = due
        wait = 0.05 if rate is None else max(0.0, (number + 1) / rate - (time.perf_counter() - start))
        for key, _ in selector.select(wait):
            connection = key.fileobj  # type: ignore[assignment]
            received[connection] += connection.recv(1 << 16)
            if status := _status(received[connection]):
                answers.seconds.setdefault(status, []).append(time.perf_counter() - start - since[connection])
                free.append(connection)
    answers.took = time.perf_counter() - start
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    selector.close()
    return answers


def _status(answer: bytes) -> int | None:
    """Return the status of an HTTP `answer`, None while it is not whole."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return None
    length = re.search(rb"content-length: (\d+)", head)
    assert length, head
    return int(head[9:12]) if len(body) >= int(length[1]) else None


@contextmanager
def serving(*options: str) -> Iterator[tuple[psutil.Process, int]]:
    """Run the service; yield its process and its port."""
    command = [sys.executable, "-m", "digits.server", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            url = json.loads(running.stdout.readline())["url"]
            subprocess.Popen(["cat"], stdin=running.stdout, stdout=subprocess.DEVNULL)  # its log
            yield psutil.Process(running.pid), int(url.rsplit(":", 1)[1])
        finally:
            running.terminate()


def megabytes(process: psutil.Process) -> float:
    """Return the memory that `process` has now."""
    return round(process.memory_info().rss / 1e6, 1)


def seen(port: int) -> dict[str, float]:
    """Return the means of what the service saw of digits, by its own measures."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        measures = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
    names = ("confidence", "ink_share", "stroke_width")
    return {
        name: round(float(measures[f"digits_{name}_sum"]) / float(measures[f"digits_{name}_count"]), 4)
        for name in names
    }


def main() -> None:
    """Measure, print and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service")
    parser.add_argument("--overload", type=float, default=60.0, help="seconds of too much (%(default)s)")
    overload_seconds = parser.parse_args().overload
    pictures = []
    for image in arrays.load(arrays.TEST).first(PICTURES).images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        pictures.append(file.getvalue())
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\n\r\n%b\r\n--x--\r\n'
    bodies = posts(pictures, "image/png")
    forms = posts([form % picture for picture in pictures], "multipart/form-data; boundary=x")
    busy = psutil.cpu_percent(2.0)
    with serving("--rate", "0") as (process, port):
        ask(port, bodies, 4, 2.0)
        steady: dict[str, Any] = {}
        for name, requests in (("body", bodies), ("form", forms)):
            for connections in CONNECTIONS:
                rounds = [ask(port, requests, connections, SECONDS).facts(200) for _ in range(ROUNDS)]
                steady[f"{name}, {connections} at once"] = {
                    key: round(statistics.median(one[key] for one in rounds), 2) for key in rounds[0]
                }
        means = seen(port)
        capacity = max(steady[f"body, {connections} at once"]["a_second"] for connections in CONNECTIONS)
        before = megabytes(process)
        flood = ask(port, bodies, FLOOD, overload_seconds, TIMES * capacity)
        after = megabytes(process)
        again = ask(port, bodies, 4, SECONDS).facts(200)
        counts = Counter({status: len(times) for status, times in flood.seconds.items()})
        refused = {status: counts[status] for status in (429, 503)}
        results = {
            "cores_busy_with_other_work_percent": busy,
            "steady": steady,
            "overload": {
                "seconds": overload_seconds,
                "due_a_second": round(TIMES * capacity, 1),
                "unsent_a_second": round(flood.unsent / flood.took, 1),
                "refused_share": round(sum(refused.values()) / counts.total(), 4),
                "statuses": {str(status): count for status, count in sorted(counts.items())},
                "answered": flood.facts(200),
                "refused": flood.facts(429, 503),
                "megabytes_before": before,
                "megabytes_after": after,
                "megabytes_at_rest": megabytes(process),
                "afterwards": again,
            },
            "means_seen": means,
        }
    print(json.dumps(results, indent=2))
    benchmarks.write("service", results)


if __name__ == "__main__":
    main()
