"""That benchmarks/service.py counts what comes back."""

import pytest

from benchmarks.service import ask, posts, seen
from tests.digits.server.conftest import Running, saved, seven


@pytest.mark.parametrize("rate", [None, 50.0])
def test_answers_are_counted(server: Running, rate: float | None) -> None:
    requests = posts([saved(seven(28)), b"no picture"], "image/png")
    answers = ask(server.port, requests, connections=2, seconds=1, rate=rate)
    right, wrong = len(answers.seconds[200]), len(answers.seconds[415])
    assert abs(right - wrong) <= 2
    assert answers.facts(200)["a_second"] == pytest.approx(right / answers.took, rel=0.1)
    assert 0 < answers.facts(200)["milliseconds_p50"] <= answers.facts(200)["milliseconds_p99"]
    assert answers.facts(503) == {"a_second": 0.0}
    if rate:
        assert right + wrong + answers.unsent == pytest.approx(50, abs=4)


def test_what_the_service_saw_is_read(server: Running) -> None:
    ask(server.port, posts([saved(seven(28))], "image/png"), connections=1, seconds=0.2)
    found = seen(server.port)
    assert found.keys() == {"confidence", "ink_share", "stroke_width"}
    assert 0.5 < found["confidence"] <= 1
