import pytest

from pipeline.serve import limits
from pipeline.serve.limits import Rate, RefusedError


def test_a_bucket_fills_again() -> None:
    rate = Rate(10)
    for _ in range(10):
        rate.take("a", now=0)
    with pytest.raises(RefusedError) as caught:
        rate.take("a", now=0.05)
    assert (caught.value.status, caught.value.retry_after) == (429, 1)
    rate.take("b", now=0.05)
    rate.take("a", now=0.15)


def test_less_than_one_a_second() -> None:
    rate = Rate(0.1)
    rate.take("a", now=0)
    with pytest.raises(RefusedError) as caught:
        rate.take("a", now=5)
    assert caught.value.retry_after == 5
    rate.take("a", now=10.001)


def test_no_limit() -> None:
    rate = Rate(0)
    for _ in range(1000):
        rate.take("a", now=0)


def test_only_so_many_clients_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLIENTS", 3)
    rate = Rate(1)
    for client in "abcd":
        rate.take(client, now=0)
    assert len(rate._buckets) == 3
    rate.take("a", now=0)  # forgotten, so welcome
    with pytest.raises(RefusedError):
        rate.take("d", now=0)
