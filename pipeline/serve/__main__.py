"""The command line: `python -m pipeline.serve`, or `digits-serve`."""

import argparse
import os
from pathlib import Path

from pipeline import errors
from pipeline.artifact import Classifier
from pipeline.errors import InputError
from pipeline.serve.app import Service, log
from pipeline.serve.limits import Limits
from pipeline.serve.server import Server


def main() -> int:
    """Serve until told to end."""
    limits = Limits(threads=max(1, (os.cpu_count() or 2) - 1))
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.serve",
        description="Read digits over HTTP, with a page to draw on at /.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=Path("models/best"), help="folder of a model")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 is every one")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0: a free one, which the log names")
    parser.add_argument("--size", type=int, default=limits.size, help="bytes of a request at most")
    parser.add_argument("--pixels", type=int, default=limits.pixels, help="pixels of a picture at most")
    parser.add_argument("--seconds", type=float, default=limits.seconds, help="for a body to arrive, and for an answer")
    parser.add_argument("--queue", type=int, default=limits.queue, help="pictures that may wait")
    parser.add_argument("--rate", type=float, default=limits.rate, help="pictures a second of one client; 0: no limit")
    parser.add_argument("--threads", type=int, default=limits.threads, help="large pictures read at the same time")
    parser.add_argument("--drain", type=float, default=0.0, help="seconds from SIGTERM to the end of listening")
    parser.add_argument(
        "--cors", action="append", default=[], metavar="ORIGIN", help="whose pages may ask, besides ours"
    )
    parser.add_argument("--proxies", default="", help="addresses whose X-Forwarded-For is believed, with commas")
    given = parser.parse_args()
    limits = Limits(given.size, given.pixels, given.seconds, given.queue, given.rate, given.threads)
    if min(limits.size, limits.pixels, limits.seconds, limits.queue, limits.threads) <= 0 or limits.rate < 0:
        raise InputError("expected limits above 0 (--rate: or 0), found another. See --help.")
    classifier = Classifier.load(given.model)
    server = Server(Service(classifier, limits, tuple(given.cors)), given.host, given.port, given.drain, given.proxies)
    server.run()
    log(event="end")
    return 0


def command() -> None:
    """Run the command; what `digits-serve` calls."""
    errors.run(main)


if __name__ == "__main__":
    command()
