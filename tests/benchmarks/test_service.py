"""benchmarks/service.py counts what the service answers."""

import sys
from collections.abc import Iterator

import pytest

from benchmarks.service import build_requests, observed_means, send, serving
from tests.digits.server.conftest import saved, seven

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs the command cat")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving("--rate", "0") as (process, port):
        assert process.is_running()
        yield port


@pytest.mark.parametrize("rate", [None, 50.0])
def test_responses_are_counted_by_status(port: int, rate: float | None) -> None:
    requests = build_requests([saved(seven(28)), b"not a picture"], "image/png")
    responses = send(port, requests, connections=2, seconds=1, rate=rate)
    answered, refused = len(responses.seconds[200]), len(responses.seconds[415])
    assert abs(answered - refused) <= 2
    assert responses.summary(200)["a_second"] == pytest.approx(answered / responses.duration, rel=0.1)
    assert 0 < responses.summary(200)["milliseconds_p50"] <= responses.summary(200)["milliseconds_p99"]
    assert responses.summary(503) == {"a_second": 0.0}
    if rate:
        assert answered + refused + responses.unsent == pytest.approx(50, abs=4)


def test_observed_means_come_from_the_metrics_of_the_service(port: int) -> None:
    send(port, build_requests([saved(seven(28))], "image/png"), connections=1, seconds=0.2)
    found = observed_means(port)
    assert found.keys() == {"confidence", "ink_share", "stroke_width"}
    assert 0.5 < found["confidence"] <= 1
