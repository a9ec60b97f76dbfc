"""Backoff: bounds, growth, reset only after a healthy while, and no hot loop in 10,000 random histories."""

from __future__ import annotations

import random

import pytest

from service.venues.transport.backoff import Backoff


class Extreme:
    """A generator that always draws one end of the range."""

    def __init__(self, high: bool) -> None:
        self.high = high

    def uniform(self, a: float, b: float) -> float:
        return b if self.high else a


def test_ceiling_doubles_to_the_cap() -> None:
    backoff = Backoff(60.0, Extreme(high=True))
    assert [backoff.next_delay_s() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_floor_grows_with_the_ceiling() -> None:
    backoff = Backoff(60.0, Extreme(high=False))
    assert [backoff.next_delay_s() for _ in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]


def test_resets_exactly_at_the_healthy_time() -> None:
    backoff = Backoff(60.0, Extreme(high=True), healthy_s=60.0)
    for _ in range(5):
        backoff.next_delay_s()
    backoff.lived(59.999)
    assert backoff.next_delay_s() == 32
    backoff.lived(60.0)
    assert backoff.next_delay_s() == 1


def test_never_overflows() -> None:
    backoff = Backoff(60.0, random.Random(1))
    backoff.attempts = 10_000_000
    assert 15.0 <= backoff.next_delay_s() <= 60.0


def test_a_cap_below_the_base_is_refused() -> None:
    with pytest.raises(ValueError, match="base"):
        Backoff(0.5, random.Random(1))


def test_random_histories() -> None:
    """10,000 histories of drops after random lives: every delay in [0, cap], and no second with many attempts."""
    for seed in range(10_000):
        rng = random.Random(seed)
        cap = rng.choice([1.0, 5.0, 60.0])
        backoff = Backoff(cap, rng, healthy_s=60.0)
        now, attempts = 0.0, []
        for _ in range(rng.randrange(2, 12)):
            delay = backoff.next_delay_s()
            assert 0.25 <= delay <= cap, f"seed {seed}"
            now += delay
            attempts.append(now)
            lived = rng.choice([0.0, 0.0, 0.1, 59.0, 61.0])
            backoff.lived(lived)
            now += lived
        for first, third in zip(attempts, attempts[2:], strict=False):
            assert third - first >= 0.5, f"seed {seed}"
        unhealthy = Backoff(cap, rng)
        total = sum(unhealthy.next_delay_s() for _ in range(20))
        assert total >= min(cap, 16.0) * 0.25 * 15, f"seed {seed}"  # never healthy: the pace falls


def test_jitter_spreads_many_links() -> None:
    """1,000 links dropped at one moment do not come back at one moment."""
    delays = sorted(Backoff(60.0, random.Random(seed)).next_delay_s() for seed in range(1000))
    busiest = max(sum(at <= other < at + 0.1 for other in delays) for at in delays)
    assert busiest < 250
