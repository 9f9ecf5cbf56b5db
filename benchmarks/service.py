"""Throughput and latency of the HTTP service, and its behaviour under overload: `python -m benchmarks.service`.

The service runs in a process of its own and shares the machine's cores with this one, the client. The pictures are
test images, PNG files of 28x28 pixels. First a few connections send their next request as soon as they are answered;
then, for a minute, requests are sent at four times the rate that was answered, whether or not answers arrive; then the
first again. `--overload 10` shortens the minute to ten seconds.
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

import psutil
from PIL import Image

import benchmarks
from benchmarks.inference import quantiles
from pipeline.datasets import arrays

PICTURES = 1_000
CONNECTIONS = (1, 4, 8)  # of the steady runs
ROUNDS, SECONDS = 3, 5.0  # of each steady run
OVERLOAD = 4  # times the largest steady rate
OVERLOAD_CONNECTIONS = 256


@dataclass
class Responses:
    """The responses to a series of requests.

    Attributes:
        seconds: latencies by status.
        unsent: the number of requests that were due while no connection was free.
        duration: of the whole series, in seconds.
    """

    seconds: dict[int, list[float]] = field(default_factory=dict)
    unsent: int = 0
    duration: float = 0.0

    def summary(self, *statuses: int) -> dict[str, float]:
        """Return the number per second and the latency of the responses with one of `statuses`."""
        times = [1_000 * seconds for status in statuses for seconds in self.seconds.get(status, [])]
        if not times:
            return {"a_second": 0.0}
        return {"a_second": round(len(times) / self.duration, 1), **quantiles(times)}


def build_requests(bodies: list[bytes], kind: str) -> list[bytes]:
    """Return a POST request for each of `bodies`, whose content type is `kind`."""
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"
    return [head.format(kind, len(body)).encode() + body for body in bodies]


def send(port: int, requests: list[bytes], connections: int, seconds: float, rate: float | None = None) -> Responses:
    """Send `requests` in turns for `seconds` over a number of `connections`, and return the responses.

    Args:
        rate: requests per second, whether or not responses arrive; by default a connection sends its next request when
            it has received a response.
    """
    responses, selector = Responses(), selectors.DefaultSelector()
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
        responses.unsent += due - number
        number = due
        wait = 0.05 if rate is None else max(0.0, (number + 1) / rate - (time.perf_counter() - start))
        for key, _ in selector.select(wait):
            connection = key.fileobj  # type: ignore[assignment]
            received[connection] += connection.recv(1 << 16)
            if status := _status(received[connection]):
                responses.seconds.setdefault(status, []).append(time.perf_counter() - start - since[connection])
                free.append(connection)
    responses.duration = time.perf_counter() - start
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    selector.close()
    return responses


def _status(response: bytes) -> int | None:
    """Return the status of an HTTP response, None while it is incomplete."""
    head, found, body = response.partition(b"\r\n\r\n")
    if not found:
        return None
    length = re.search(rb"content-length: (\d+)", head)
    assert length, head
    return int(head[9:12]) if len(body) >= int(length[1]) else None


@contextmanager
def serving(*options: str) -> Iterator[tuple[psutil.Process, int]]:
    """Run the service on a free port; yield its process and the port."""
    command = [sys.executable, "-m", "digits.server", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        try:
            url = json.loads(running.stdout.readline())["url"]
            with subprocess.Popen(["cat"], stdin=running.stdout, stdout=subprocess.DEVNULL):  # drains the log
                try:
                    yield psutil.Process(running.pid), int(url.rsplit(":", 1)[1])
                finally:
                    running.terminate()
        finally:
            running.terminate()


def megabytes(process: psutil.Process) -> float:
    """Return the resident size of `process`."""
    return round(process.memory_info().rss / 1e6, 1)


def observed_means(port: int) -> dict[str, float]:
    """Return the means over all recognised digits of what the service measures for Prometheus."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        metrics = dict(line.rsplit(" ", 1) for line in response.read().decode().splitlines() if line[0] != "#")
    names = ("confidence", "ink_share", "stroke_width")
    return {
        name: round(float(metrics[f"digits_{name}_sum"]) / float(metrics[f"digits_{name}_count"]), 4) for name in names
    }


def measure_steady(port: int, requests: dict[str, list[bytes]]) -> dict[str, dict[str, float]]:
    """Return the medians of several rounds, for each kind of request and number of connections."""
    found = {}
    for name, kind in requests.items():
        for connections in CONNECTIONS:
            rounds = [send(port, kind, connections, SECONDS).summary(200) for _ in range(ROUNDS)]
            found[f"{name}, {connections} at once"] = {
                key: round(statistics.median(one[key] for one in rounds), 2) for key in rounds[0]
            }
    return found


def measure_overload(
    process: psutil.Process, port: int, requests: list[bytes], seconds: float, rate: float
) -> dict[str, Any]:
    """Return how the service responds for `seconds` to `rate` requests per second, and at a normal rate afterwards."""
    before = megabytes(process)
    flood = send(port, requests, OVERLOAD_CONNECTIONS, seconds, rate)
    after = megabytes(process)
    again = send(port, requests, 4, SECONDS).summary(200)
    statuses = Counter({status: len(times) for status, times in flood.seconds.items()})
    return {
        "seconds": seconds,
        "due_a_second": round(rate, 1),
        "unsent_a_second": round(flood.unsent / flood.duration, 1),
        "refused_share": round((statuses[429] + statuses[503]) / statuses.total(), 4),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "answered": flood.summary(200),
        "refused": flood.summary(429, 503),
        "megabytes_before": before,
        "megabytes_after": after,
        "megabytes_at_rest": megabytes(process),
        "afterwards": again,
    }


def main() -> None:
    """Measure the service, print and write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service", description="Throughput and latency of the HTTP service."
    )
    parser.add_argument("--overload", type=float, default=60.0, help="seconds of overload (default: %(default)s)")
    overload_seconds = parser.parse_args().overload
    pictures = []
    for image in arrays.load(arrays.TEST).first(PICTURES).images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        pictures.append(file.getvalue())
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\n\r\n%b\r\n--x--\r\n'
    bodies = build_requests(pictures, "image/png")
    forms = build_requests([form % picture for picture in pictures], "multipart/form-data; boundary=x")
    busy = psutil.cpu_percent(2.0)
    with serving("--rate", "0") as (process, port):
        send(port, bodies, 4, 2.0)  # warm-up
        steady = measure_steady(port, {"body": bodies, "form": forms})
        means = observed_means(port)
        capacity = max(found["a_second"] for name, found in steady.items() if name.startswith("body"))
        overload = measure_overload(process, port, bodies, overload_seconds, OVERLOAD * capacity)
    results = {
        "cores_busy_with_other_work_percent": busy,
        "steady": steady,
        "overload": overload,
        "means_seen": means,
    }
    print(json.dumps(results, indent=2))
    benchmarks.write("service", results)


if __name__ == "__main__":
    main()
