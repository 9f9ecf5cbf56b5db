"""The command line of `digits-serve`."""

import argparse
import os
from pathlib import Path

from digits.errors import InputError
from digits.images import silence_pillow
from digits.model import Classifier
from digits.server.app import Service, log
from digits.server.limits import Limits
from digits.server.server import Server


def main() -> int:
    """Serve until the process is told to stop; return its exit code."""
    silence_pillow()
    options = _parse_arguments()
    limits = Limits(
        max_bytes=options.max_bytes,
        max_pixels=options.max_pixels,
        timeout=options.timeout,
        queue=options.queue,
        rate=options.rate,
        threads=options.threads,
    )
    positive = (limits.max_bytes, limits.max_pixels, limits.timeout, limits.queue, limits.threads)
    if min(positive) <= 0 or limits.rate < 0:
        raise InputError("expected limits above 0 (--rate: 0 or above), found another value. See --help.")
    classifier = Classifier.load(options.model)
    classifier.check_digits()
    service = Service(classifier, limits, tuple(options.cors))
    Server(service, options.host, options.port, options.drain, options.proxies).run()
    log(event="end")
    return 0


def _parse_arguments() -> argparse.Namespace:
    limits = Limits(threads=max(1, (os.cpu_count() or 2) - 1))
    parser = argparse.ArgumentParser(
        prog="digits-serve", description="Recognise handwritten digits over HTTP, with a page to draw on at /."
    )

    def add(name: str, kind: type, default: object, help_text: str) -> None:
        parser.add_argument(name, type=kind, default=default, help=f"{help_text} (default: %(default)s)")

    parser.add_argument("--model", type=Path, metavar="FOLDER", help="folder of a model (default: the shipped model)")
    add("--host", str, "127.0.0.1", "address to listen on; 0.0.0.0 for all")
    add("--port", int, 8000, "port to listen on; 0 for any free port, which is logged")
    add("--max-bytes", int, limits.max_bytes, "largest body of a request, in bytes")
    add("--max-pixels", int, limits.max_pixels, "largest picture, in pixels")
    add("--timeout", float, limits.timeout, "seconds to receive a body, and again to answer")
    add("--queue", int, limits.queue, "largest number of small pictures in the queue; of large ones, a quarter")
    add("--rate", float, limits.rate, "pictures per second and client; 0 for no limit")
    add("--threads", int, limits.threads, "threads for large pictures")
    add("--drain", float, 0.0, "seconds to keep accepting requests after SIGTERM, with /readyz answering 503")
    parser.add_argument("--cors", action="append", default=[], metavar="ORIGIN", help="allow pages of another origin")
    parser.add_argument("--proxies", default="", help="comma-separated addresses of trusted proxies")
    return parser.parse_args()
