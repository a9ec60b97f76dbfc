"""Backoff and budgets under the real limits of all venues: nobody is hammered, whatever breaks.

Budgets hold in any window; all venues dropped at one moment come back without a burst; a venue that accepts and
drops, refuses or throttles at once never makes a hot loop.
"""

from __future__ import annotations

import random
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.config import NetworkSection
from service.runtime.venue_runner import PROCESS_CONNECTS
from service.venues import VENUES
from service.venues.transport.backoff import Backoff
from service.venues.transport.budget import VenueBudget, Window
from tests.faults.catalogue import Refused, Rejected, Script
from tests.faults.chaos import ChaosServer
from tests.faults.field import Spans, play, simulated

NAMES = tuple(VENUES)


def most_within(times: list[float], period_s: float) -> int:
    """The most that fall into any half-open window of that length."""
    times = sorted(times)
    return max((bisect_left(times, at + period_s - 1e-6) - index for index, at in enumerate(times)), default=0)


class Life:
    """One link as its venue sees it: waits, asks the budget, attempts, lives or fails, as :class:`Link` does."""

    def __init__(self, venue: str, budget: VenueBudget, rng: random.Random) -> None:
        network = NetworkSection()
        self.venue = venue
        self.budget = budget
        self.backoff = Backoff(network.backoff_cap_s, rng, network.healthy_s)
        self.due_s = 0.0
        self.attempts: list[float] = []

    def turn(self, lived_s: float, throttled_s: float | None) -> None:
        wait_s = self.budget.reserve_connect(self.due_s)
        if wait_s > 0.0:
            self.due_s += max(wait_s, 0.001)
            return
        self.attempts.append(self.due_s)
        if throttled_s is not None:
            self.budget.penalise_connects(self.due_s, throttled_s)
        self.backoff.lived(lived_s)
        self.due_s += lived_s + self.backoff.next_delay_s()


def live(lives: list[Life], until_s: float, fates: random.Random, fate: str) -> None:
    """Every link in the order of time until ``until_s``."""
    while (life := min(lives, key=lambda item: item.due_s)).due_s < until_s:
        lived_s = {"refused": 0.0, "dropped": 0.05, "mixed": fates.choice((0.0, 0.1, 30.0, 61.0))}[fate]
        throttled_s = fates.choice((None, None, 0.0, 7.0)) if fate == "mixed" else None
        life.turn(lived_s, throttled_s)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    links=st.integers(1, 4),
    fate=st.sampled_from(("refused", "dropped", "mixed")),
)
def test_all_venues_dropped_at_once_never_exceed_a_budget(seed: int, links: int, fate: str) -> None:
    rng = random.Random(seed)
    process = Window(*PROCESS_CONNECTS)
    lives = []
    for name in NAMES:
        budget = VenueBudget(VENUES[name].limits, process)
        lives += [Life(name, budget, random.Random(rng.random())) for _ in range(links)]
    live(lives, 600.0, rng, fate)
    everything = [at for life in lives for at in life.attempts]
    assert most_within(everything, PROCESS_CONNECTS[1]) <= PROCESS_CONNECTS[0]
    for name in NAMES:
        limits = VENUES[name].limits
        attempts = [at for life in lives if life.venue == name for at in life.attempts]
        assert attempts, f"{name} was never tried"
        assert most_within(attempts, limits.connect_period_s) <= limits.connects
    for life in lives:  # no hot loop: never more often than the first pause, and slower the longer it fails
        assert most_within(life.attempts, 0.25) <= 1
        if fate != "mixed":
            late = [at for at in life.attempts if at > 300.0]
            assert len(late) <= 300.0 / (NetworkSection().backoff_cap_s * 0.25) + 1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(NAMES))
def test_request_weight_is_never_exceeded_and_a_penalty_is_kept(seed: int, name: str) -> None:
    rng = random.Random(seed)
    limits = VENUES[name].limits
    budget = VenueBudget(limits)
    now_s, blocked_until_s = 0.0, 0.0
    spent: list[tuple[float, float]] = []
    for _ in range(400):
        weight = min(rng.choice((1.0, 1.0, 2.0, 10.0)), limits.rest_weight)
        wait_s = budget.reserve_rest(now_s, weight)
        if wait_s > 0.0:
            now_s += max(wait_s, 0.001)
            continue
        assert now_s >= blocked_until_s - 1e-6
        spent.append((now_s, weight))
        if rng.random() < 0.02:
            after_s = rng.choice((0.0, 3.0, 40.0, None))
            budget.penalise_rest(now_s, after_s)
            blocked_until_s = max(blocked_until_s, now_s + (30.0 if after_s is None else max(after_s, 1.0)))
        now_s += rng.choice((0.0, 0.0, 0.01, 0.5))
    for at, _ in spent:
        used = sum(weight for other, weight in spent if at <= other < at + limits.rest_period_s - 1e-6)
        assert used <= limits.rest_weight + 1e-6


class DropsAtOnce(Script):
    """Every connection is accepted and cut, HTTP too."""

    def beat(self, server: ChaosServer) -> None:
        server.cut_all()


@pytest.mark.parametrize("fault", [DropsAtOnce, Refused, Rejected], ids=lambda f: f.__name__)
def test_the_real_service_knocks_no_faster_than_the_budgets_when_every_venue_fails_at_once(fault: type[Script]) -> None:
    """All simulated venues at once, through the real links and pollers; what counts is what the servers saw."""
    spans = Spans(15, 60, 5, past_h=1)
    venues = simulated()
    run = play(venues, {venue: fault(venue, float(spans.fault)) for venue in venues}, spans)
    upgrades = {venue: [at for at in run.upgrades[venue] if at > spans.healthy + 0.25] for venue in venues}
    together = [at for times in upgrades.values() for at in times]
    assert most_within(together, 1.0) <= PROCESS_CONNECTS[0]
    for venue, times in upgrades.items():
        limits = VENUES[venue].limits
        assert most_within(times, limits.connect_period_s) <= limits.connects
        assert most_within(run.connects[venue], 1.0) <= 40, f"{venue} is hammered"
    assert [item.at_s for item in run.published] == sorted(item.at_s for item in run.published)
    assert len(run.published) >= spans.total // 10
