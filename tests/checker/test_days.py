"""Hourly closes and the chance of a deleveraging: by hand, and the engine's after its clock was set anew."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from service.config import MarketSection
from service.core.engine import Engine
from service.deleveraging import packaged
from service.model import Event, Mark, OpenInterest

from .deleveraging import Deleveraging, fragility_2_of
from .history import HOUR, MINUTE, History, Level
from .making import T0, S, sample
from .numbers import Loose, compare
from .recompute import Checker
from .scenarios import LIVE_FROM, RULES
from .test_verdict import level, levels

# volatility of a day


def closes(prices: Mapping[int, float | None]) -> History:
    """A sample at each full hour after T0, None without quorum."""
    history = History()
    for hour, price in prices.items():
        history.observe(sample(T0 + hour * HOUR, price or 1.0, quorum=price is not None))
    return history


def test_the_root_of_the_sum_of_24_squared_returns() -> None:
    history = closes({0: 7.0} | {hour: 100 * math.exp(0.01 * (hour % 2)) for hour in range(1, 26)})
    assert history.volatility_24h(T0 + 25 * HOUR) == pytest.approx(math.sqrt(24) * 0.01)  # not the jump from 7
    history.observe(sample(T0 + 25 * HOUR + S, 300.0))  # of the hour that runs
    assert history.volatility_24h(T0 + 25 * HOUR + S) == pytest.approx(math.sqrt(24) * 0.01)


def test_the_last_price_of_an_hour_closes_it() -> None:
    history = closes(dict.fromkeys(range(25), 100.0))
    for at, price in ((S, 50.0), (HOUR - S, 110.0)):  # nothing at the full hour itself
        history.observe(sample(T0 + 24 * HOUR + at, price))
    history.observe(sample(T0 + 25 * HOUR + 10 * S, 70.0))
    assert history.volatility_24h(T0 + 25 * HOUR + 10 * S) == pytest.approx(math.log(1.1))


@pytest.mark.parametrize(("missing", "left"), [((0, 24), 22), ((3, 9), 20), ((3, 4, 5), 20), ((3, 9, 24), None)])
def test_a_missing_close_takes_the_returns_beside_it(missing: tuple[int, ...], left: int | None) -> None:
    prices = {hour: 100 * math.exp(0.01 * (hour % 2)) for hour in range(26)}
    history = closes({hour: None if hour in missing else price for hour, price in prices.items() if hour < 25})
    history.observe(sample(T0 + 24 * HOUR + 10 * S, 100.0))
    expected = None if left is None else pytest.approx(0.01 * math.sqrt(left))
    assert history.volatility_24h(T0 + 24 * HOUR + 10 * S) == expected


def test_none_without_quorum() -> None:
    history = closes(dict.fromkeys(range(25), 100.0))
    history.observe(sample(T0 + 24 * HOUR + S, quorum=False))
    assert history.volatility_24h(T0 + 24 * HOUR + S) is None


# the chance


def ranked(percentile: float | None, horizon_h: int = 168, n: int = 5_040) -> Level:
    return Level(0.0, 1.0, percentile, n, horizon_h)


def made() -> Deleveraging:
    of = Deleveraging()
    of.file = of.file | {
        "form": "F",
        "hash": "0123456789",
        "parameters": {"a_5": -1.0, "a_10": -3.0, "c_rank": 2.0, "c_volatility": 0.5},
        "base_rates": {"oi_5": 0.21, "oi_10": 0.04},
    }
    return of


def test_by_hand() -> None:
    x = 2.0 * 0.25 + 0.5 * math.log(2.0)
    assert made().of(T0, True, ranked(0.75), 0.06, False) == {
        "oi_5": pytest.approx(1 / (1 + math.exp(1.0 - x))),
        "oi_10": pytest.approx(1 / (1 + math.exp(3.0 - x))),
        "horizon_h": 24,
        "model": "F:01234567",
        "base_rate": 0.21,
        "base_rate_10": 0.04,
        "as_of": T0,
        "reason": None,
        "evidence": "none_yet",
        "evidence_10": "none_yet",
    }
    loose = made().of(T0, True, ranked(Loose(0.75, 0.01)), 0.06, False)["oi_5"]
    assert loose.slack == pytest.approx(0.02 * loose * (1 - loose), rel=0.02)


def test_why_it_is_null_in_order() -> None:
    of = made()
    for quorum, rank, volatility, reason in (
        (False, ranked(None), None, "no_quorum"),
        (True, ranked(None), None, "short_rank"),
        (True, ranked(0.9, 167), None, "short_rank"),
        (True, ranked(0.9, 168, 5_039), None, "short_rank"),
        (True, ranked(0.9), 0.0, "no_volatility"),
        (True, ranked(0.9), None, "no_volatility"),
    ):
        said = of.of(T0, quorum, rank, volatility, False)
        assert (said["reason"], said["oi_5"], said["oi_10"], said["as_of"]) == (reason, None, None, None)


def test_it_stands_for_its_minute_unless_it_would_be_null() -> None:
    of = made()

    def as_of(second: int, rank: float | None, backfill: bool = False) -> int | None:
        at = of.of(T0 + second * S, True, ranked(rank), 0.06, backfill)["as_of"]
        return None if at is None else (at - T0) // S

    assert [as_of(0, 0.9, True), as_of(10, 0.9), as_of(50, 0.1), as_of(60, 0.1)] == [0, 10, 10, 60]
    assert [as_of(70, None), as_of(80, 0.1), as_of(110, 0.1), as_of(190, 0.1)] == [None, 80, 80, 190]
    assert [as_of(200, 0.9, True), as_of(210, 0.9)] == [200, 210]


def test_fragility_2_needs_both_ranks() -> None:
    assert fragility_2_of(levels(elr=level(percentile=0.9), volatility=level(percentile=0.4))) == pytest.approx(0.65)
    assert fragility_2_of(levels(elr=level(percentile=0.9), funding_abs=level(percentile=0.4))) is None


# the engine, its clock set anew


@pytest.mark.parametrize(
    ("delta_ms", "hours"), [(5_400, 0), (47_000, 0), (-70_000, 0), (2_100_000, 1), (-3_600_000, -1)]
)
def test_closes_move_by_whole_hours_and_what_stands_with_its_time(delta_ms: int, hours: int) -> None:
    rules, settings = RULES[:2], MarketSection()
    few = replace(packaged(), least_rank_h=48)  # a value an hour is half of the minutes of two days
    checker, engine = Checker(["SOL"], rules, settings, []), Engine(["SOL"], rules, settings, [], deleveraging=few)

    def play(ts: int, price: float) -> None:
        for rule in rules:
            key = (rule.venue, "SOLUSDT", "SOL")
            coins = 1000.0 + 10 * math.sin(price)
            events: list[Event] = [
                OpenInterest(*key, coins, 1.0, coins, False, None, ts),
                Mark(*key, price, price, None, ts),
            ]
            for event in events:
                checker.apply(event)
                engine.apply(event)

    history = checker.histories["SOL"]
    for hour in range(-170, 1):
        ts = LIVE_FROM + hour * HOUR
        play(ts, 137.5 * math.exp(0.01 * math.sin(hour * hour)))
        checker.sample(ts, 60)
        engine.backfill(ts, silent=True)

    def body(ts: int, price: float) -> dict[str, Any]:
        play(ts, price)
        checker.sample(ts, 1)
        return engine.advance(ts)[-1].signals[0]

    first = body(LIVE_FROM + 10 * S, 139.0)
    assert compare(history.volatility_24h(LIVE_FROM + 10 * S), first["volatility_24h"]) == []
    assert first["p_deleveraging"]["as_of"] == LIVE_FROM + 10 * S
    engine.reanchor(delta_ms)
    checker.market.shift(delta_ms)
    history.closes = {end + hours * HOUR: price for end, price in history.closes.items()}
    history.close_levels = {end + hours * HOUR: level for end, level in history.close_levels.items()}
    rounded = round(delta_ms / 1000) * 1000
    after = LIVE_FROM + 10 * S + delta_ms
    ts = after - after % (10 * S) + 10 * S
    later = body(ts, 139.0)
    assert compare(history.volatility_24h(ts), later["volatility_24h"]) == []
    stands = (LIVE_FROM + 10 * S + rounded) // MINUTE == ts // MINUTE
    assert later["p_deleveraging"]["as_of"] == (LIVE_FROM + 10 * S + rounded if stands else ts)
