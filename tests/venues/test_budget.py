"""Budgets: never exceeded in any window, penalties, Retry-After."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from service.venues.transport.budget import VenueBudget, Window, http_reason, parse_retry_after, parse_used_weight
from tests.fakes.venue_server import LIMITS

FEW = replace(LIMITS, connects=3, connect_period_s=10.0, rest_weight=20.0, rest_period_s=60.0)


def test_window_boundary_is_exact() -> None:
    budget = VenueBudget(FEW)
    assert [budget.reserve_connect(at) for at in (0.0, 1.0, 2.0)] == [0.0, 0.0, 0.0]
    assert budget.reserve_connect(3.0) == 7.0
    assert budget.reserve_connect(9.999) == pytest.approx(0.001)
    assert budget.reserve_connect(10.0) == 0.0
    assert budget.reserve_connect(10.0) == 1.0


def test_weights_wait_for_enough_to_leave() -> None:
    budget = VenueBudget(FEW)
    assert budget.reserve_rest(0.0, 5.0) == 0.0
    assert budget.reserve_rest(10.0, 10.0) == 0.0
    assert budget.reserve_rest(20.0, 5.0) == 0.0
    assert budget.reserve_rest(30.0, 5.0) == 30.0  # the 5 of second 0
    assert budget.reserve_rest(30.0, 6.0) == 40.0  # and the 10 of second 10
    assert budget.reserve_rest(30.0, 20.0) == 50.0


def test_a_request_above_the_whole_budget_gets_an_empty_window() -> None:
    budget = VenueBudget(FEW)
    assert budget.reserve_rest(0.0, 1.0) == 0.0
    assert budget.reserve_rest(1.0, 500.0) == 59.0
    assert budget.reserve_rest(60.0, 500.0) == 0.0
    assert budget.reserve_rest(61.0, 1.0) == 59.0


def test_a_refused_reservation_costs_nothing() -> None:
    budget = VenueBudget(replace(FEW, connects=1))
    assert budget.reserve_connect(0.0) == 0.0
    assert [budget.reserve_connect(5.0) for _ in range(100)] == [5.0] * 100
    assert budget.reserve_connect(10.0) == 0.0


def test_penalties_hold_each_kind_back() -> None:
    budget = VenueBudget(FEW)
    budget.penalise_rest(0.0, 120.0)
    assert budget.reserve_rest(1.0) == 119.0
    assert budget.rest_blocked_s(1.0) == 119.0
    assert budget.reserve_connect(1.0) == 0.0
    budget.penalise_rest(1.0, 5.0)  # a shorter one does not shorten it
    assert budget.reserve_rest(1.0) == 119.0
    budget.penalise_connects(2.0, None)
    assert budget.reserve_connect(2.0) == 30.0
    assert budget.reserve_rest(120.0) == 0.0
    assert budget.rest_blocked_s(121.0) == 0.0


def test_an_absurd_penalty_is_bounded() -> None:
    budget = VenueBudget(FEW)
    budget.penalise_rest(0.0, 1e12)
    assert budget.reserve_rest(0.0) == 3 * 86_400.0
    other = VenueBudget(FEW)
    other.penalise_rest(0.0, 0.0)  # "retry after 0" must not become a hot loop
    assert other.reserve_rest(0.0) == 1.0


def test_random_histories_never_exceed() -> None:
    """10,000 random histories: no window of the period holds more than the capacity, and waiting as told succeeds."""
    for seed in range(10_000):
        rng = random.Random(seed)
        capacity, period = rng.choice([(1.0, 1.0), (3.0, 10.0), (20.0, 60.0), (7.5, 3.0)])
        window = Window(capacity, period)
        now, granted = 0.0, []
        for _ in range(20):
            now += rng.choice([0.0, 0.01, 0.5, period / 3, period])
            amount = rng.choice([1.0, 1.0, 2.0, capacity / 2])
            wait = window.wait_s(now, amount)
            assert 0.0 <= wait <= period + 1e-9, f"seed {seed}"
            if wait > 0 and rng.random() < 0.5:
                now += wait * (1 + 1e-12) + 1e-9
                assert window.wait_s(now, amount) == 0.0, f"seed {seed}"
                wait = 0.0
            if wait == 0.0:
                window.spend(now, amount)
                granted.append((now, min(amount, capacity)))
        for start, _ in granted:
            spent = sum(amount for at, amount in granted if start <= at < start + period - 1e-6)
            assert spent <= capacity + 1e-9, f"seed {seed}"


def test_many_venues_share_a_process_window() -> None:
    """Eleven venues dropped at once: no more than three attempts in any second."""
    process = Window(3, 1.0)
    rng = random.Random(5)
    waiting = [(rng.uniform(0, 0.2), VenueBudget(LIMITS, process)) for _ in range(11)]
    granted = []
    while waiting:
        waiting.sort(key=lambda item: item[0])
        at, budget = waiting.pop(0)
        wait = budget.reserve_connect(at)
        if wait == 0.0:
            granted.append(at)
        else:
            waiting.append((at + wait + 1e-9, budget))
    assert len(granted) == 11
    assert all(sum(at <= other < at + 1.0 - 1e-6 for other in granted) <= 3 for at in granted)


@pytest.mark.parametrize(("capacity", "period"), [(0, 1.0), (1, 0.0), (-1, 1.0)])
def test_senseless_windows_are_refused(capacity: float, period: float) -> None:
    with pytest.raises(ValueError, match="budget"):
        Window(capacity, period)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 400, None),
        ("soon", None),
        ("", None),
        ("Fri, 21 Nov 2025 10:00:30 GMT", 30.0),
        ("Fri, 21 Nov 2025 09:00:00 GMT", 0.0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, 1_763_719_200.0) == seconds


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (302, "redirect"),
        (403, "http_403"),
        (418, "http_418"),
        (429, "http_429"),
        (503, "http_503"),
        (599, "http_other"),
    ],
)
def test_http_reasons_are_bounded(status: int, reason: str) -> None:
    assert http_reason(status) == reason


def test_history_is_granted_only_its_share_whoever_spent_the_rest() -> None:
    budget = VenueBudget(replace(LIMITS, rest_weight=10.0, rest_period_s=60.0))
    assert [budget.reserve_history(0.0) for _ in range(6)] == [0.0] * 6
    assert budget.reserve_history(0.0) == 60.0
    assert [budget.reserve_rest(1.0) for _ in range(4)] == [0.0] * 4  # live polls have the rest
    assert budget.reserve_rest(1.0) == 59.0
    live = VenueBudget(replace(LIMITS, rest_weight=10.0, rest_period_s=60.0))
    for _ in range(5):
        assert live.reserve_rest(0.0) == 0.0
    assert live.reserve_history(0.0) == 0.0
    assert live.reserve_history(0.0) == 60.0
    live.penalise_rest(60.0, 30.0)
    assert live.reserve_history(61.0) == 29.0


def test_a_bucket_counts_beside_the_weight() -> None:
    budget = VenueBudget(replace(FEW, buckets={"few": (2, 10.0)}))
    assert [budget.reserve_rest(0.0, 1.0, "few") for _ in range(3)] == [0.0, 0.0, 10.0]
    assert budget.reserve_rest(0.0, 18.0) == 0.0  # what was refused has cost nothing, what was granted its weight
    assert budget.reserve_rest(0.0) == 60.0
    assert budget.reserve_rest(10.0, 1.0, "few") == 50.0
    history = VenueBudget(replace(FEW, buckets={"few": (10, 10.0)}))
    assert [history.reserve_history(0.0, 1.0, "few") for _ in range(7)] == [*[0.0] * 6, 10.0]
    assert history.reserve_rest(0.0, 1.0, "few") == 0.0


def test_what_the_exchange_says_is_used_counts_where_it_is_more() -> None:
    budget = VenueBudget(FEW)
    assert budget.reserve_rest(0.0, 5.0) == 0.0
    budget.note_used(1.0, 4.0)  # less than ours: its minute began later
    assert budget.reserve_rest(1.0, 15.0) == 0.0
    other = VenueBudget(FEW)
    assert other.reserve_rest(0.0, 5.0) == 0.0
    other.note_used(10.0, 17.0)
    other.note_used(10.0, 17.0)  # the same said again
    assert [other.reserve_rest(10.0, 3.0), other.reserve_rest(10.0)] == [0.0, 50.0]
    assert other.reserve_rest(60.0, 6.0) == 10.0  # the 12 of others leave sixty seconds after they were told
    other.note_used(70.0, 1e12)
    assert other.reserve_rest(70.0) == 60.0


@pytest.mark.parametrize(
    ("header", "used"),
    [(None, None), ("17", 17.0), (" 3 ", 3.0), ("-1", None), ("1.5", None), ("", None), ("9" * 13, None), ("٣", None)],
)
def test_used_weight(header: str | None, used: float | None) -> None:
    assert parse_used_weight(header) == used


def test_an_outage_never_uses_up_an_hourly_budget() -> None:
    """Cause: three sockets spent BitMEX's sixty attempts in a five-minute outage; the venue was gone for the hour."""
    budget = VenueBudget(replace(LIMITS, connects=60, connect_period_s=3600.0))
    granted: list[tuple[float, bool]] = []
    due = {"main": 0.0, "extra-1": 0.0, "extra-2": 0.0}
    for second in range(3 * 3600):
        for name, at in due.items():
            if second >= at:
                wait = budget.reserve_connect(float(second), extra=name != "main")
                due[name] = second + (30.0 if wait == 0.0 else wait)
                if wait == 0.0:
                    granted.append((float(second), name == "main"))
    for at, _ in granted:
        assert sum(at <= other < at + 3600.0 for other, _ in granted) <= 60
    main = [at for at, of_main in granted if of_main]
    assert max(b - a for a, b in pairwise(main)) <= 270.0
    assert all(b - a <= 60.0 for a, b in pairwise([at for at in main if at < 600.0]))
    # Healthy again: the extra sockets come back without waiting for the hour to pass.
    end = granted[-1][0]
    assert budget.reserve_connect(end + 241.0, extra=True) == 0.0


def test_extra_sockets_leave_the_budget_to_the_others() -> None:
    budget = VenueBudget(replace(LIMITS, connects=8, connect_period_s=320.0))
    assert [budget.reserve_connect(0.1 * n, extra=True) == 0.0 for n in range(4)] == [True, True, False, False]
    assert [budget.reserve_connect(1.0 + 0.1 * n) == 0.0 for n in range(5)] == [True, True, True, True, False]
    assert budget.reserve_connect(1.3 + 159.9) > 0.0
    assert budget.reserve_connect(1.3 + 160.0) == 0.0
