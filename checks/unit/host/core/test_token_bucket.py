"""Rate limits on what a container sends to hived."""

from pyglue.host.core.token_bucket import TokenBucket


def test_a_burst_passes_and_then_the_rate() -> None:
    bucket = TokenBucket(burst=3, rate=2)
    assert [bucket.take(1, 100.0) for _ in range(4)] == [True] * 3 + [False]
    assert not bucket.take(1, 100.4)
    assert bucket.take(1, 100.5)
    assert not bucket.take(1, 100.5)


def test_silence_saves_no_more_than_the_burst() -> None:
    bucket = TokenBucket(burst=3, rate=2)
    assert bucket.take(3, 0.0)
    assert not bucket.take(4, 1e6)
    assert bucket.take(3, 1e6)


def test_what_is_refused_costs_nothing() -> None:
    bucket = TokenBucket(burst=10, rate=0)
    assert not bucket.take(11, 0.0)
    assert bucket.take(10, 0.0)
