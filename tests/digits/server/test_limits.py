import pytest

from digits.server import limits
from digits.server.limits import RateLimiter, RefusedError


def test_a_bucket_refills() -> None:
    rate = RateLimiter(10)
    for _ in range(10):
        rate.take("a", now=0)
    with pytest.raises(RefusedError) as caught:
        rate.take("a", now=0.05)
    assert (caught.value.status, caught.value.retry_after) == (429, 1)
    rate.take("b", now=0.05)
    rate.take("a", now=0.15)


def test_a_rate_below_one_per_second_is_possible() -> None:
    rate = RateLimiter(0.1)
    rate.take("a", now=0)
    with pytest.raises(RefusedError) as caught:
        rate.take("a", now=5)
    assert caught.value.retry_after == 5
    rate.take("a", now=10.001)


def test_rate_zero_means_no_limit() -> None:
    rate = RateLimiter(0)
    for _ in range(1000):
        rate.take("a", now=0)


def test_the_least_recent_client_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CLIENTS", 3)
    rate = RateLimiter(1)
    for client in "abcd":
        rate.take(client, now=0)
    assert len(rate._buckets) == 3
    rate.take("a", now=0)  # dropped, thus with a full bucket
    with pytest.raises(RefusedError):
        rate.take("d", now=0)
