"""The checker's bases, daily means and positions on cases computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from service.model import Denominator

from .bases import Bases, Days
from .consensus import Sample
from .history import DAY, HOUR, MINUTE, Level
from .leverage import elr_entries
from .making import T0, S, sample
from .test_verdict import NAMES

MIDNIGHT = T0 - T0 % DAY


def item(supply: float | None = None, as_of: int = T0, **reserves: float) -> Denominator:
    return Denominator("ETH", supply, tuple(reserves.items()), as_of, "s", "l")


def entry(variant: str, bases: Bases, ts: int = T0, days: Days | None = None, **changes: Any) -> dict[str, Any]:
    made = sample(ts, fresh_oi={"a": 30.0, "b": 10.0}, last_oi={"a": 30.0, "b": 10.0}, oi_coins=40.0, **changes)
    return entry_of(variant, bases, made, days or Days())


def entry_of(variant: str, bases: Bases, made: Sample, days: Days) -> dict[str, Any]:
    level = dict.fromkeys(NAMES, Level(0.0, 1.0, 0.5, 100, 2))
    changes = dict.fromkeys(("1h", "4h", "24h", "7d"))
    found = elr_entries("ETH", bases, days, Days(), {"a": "A", "b": "B"}, made, level, changes, None, None, made.ts)
    return next(one for one in found if one["variant"] == variant)


# bases


def test_an_item_replaces_what_it_carries() -> None:
    bases = Bases(item(1000.0, A=100.0, B=50.0))
    bases.take(item(2000.0))
    assert bases.reserves is not None
    assert bases.supply is not None
    assert (bases.reserves.coins, bases.supply.coins) == (150.0, 2000.0)
    bases.take(Denominator("ETH", None, (("A", 60.0),), T0 - HOUR, "other", "m"))
    got = entry("oi_reserve", bases)
    assert got["value"] == pytest.approx(0.5)
    assert got["base"] == {"coins": 60.0, "as_of": T0 - HOUR, "age_h": 1.0, "source": "other", "licence": "m"}
    assert entry("oi_mcap", bases)["base"]["source"] == "s"


def test_a_base_is_stale_beyond_the_age_that_came_with_it() -> None:
    bases = Bases(Denominator("ETH", 1000.0, (("A", 100.0),), T0, "s", "l", reserve_stale_h=2.0))
    assert not entry("oi_reserve", bases, T0 + 2 * HOUR)["stale"]
    got = entry("oi_reserve", bases, T0 + 2 * HOUR + 1)
    assert (got["stale"], got["reason"], got["value"]) == (True, "stale_base", pytest.approx(0.3))
    assert not entry("oi_mcap", bases, T0 + 48 * HOUR)["stale"]
    assert entry("oi_mcap", bases, T0 + 48 * HOUR + 1)["stale"]


def changed(bases: Bases, at: int) -> tuple[bool, bool]:
    return (
        entry("oi_reserve", bases, T0 + at * S)["base_changed"],
        entry("oi_mcap", bases, T0 + at * S)["base_changed"],
    )


def test_a_change_shows_for_an_hour_and_the_first_base_is_none() -> None:
    bases = Bases()
    assert changed(bases, 0) == (False, False)
    bases.take(item(1000.0, A=100.0, B=50.0))
    assert changed(bases, 10) == (False, False)
    bases.take(item(1001.0, A=100.0, B=50.0))
    assert changed(bases, 20) == (False, True)
    bases.take(item(None, A=100.0, C=50.0))
    assert changed(bases, 1000) == (True, True)
    bases.take(item(1001.0, as_of=T0 + S, A=100.0, C=50.0))  # newer, but the same
    assert changed(bases, 3610) == (True, True)
    assert changed(bases, 3620) == (True, False)
    assert changed(bases, 4600) == (False, False)


def test_coins_that_went_to_another_exchange_are_a_change_and_what_no_tick_saw_is_none() -> None:
    bases = Bases(item(None, A=100.0, B=50.0))
    changed(bases, 0)
    bases.take(item(None, B=50.0, A=100.0))
    bases.take(item(None, A=1.0))
    bases.take(item(None, A=100.0, B=50.0))
    assert changed(bases, 10) == (False, False)
    bases.take(item(None, A=90.0, B=60.0))
    assert changed(bases, 20) == (True, False)


def test_what_has_no_base_never_changes() -> None:
    bases = Bases(item(1000.0, A=100.0))
    changed(bases, 0)
    bases.take(item(2000.0, A=200.0))
    assert changed(bases, 10) == (True, True)
    assert not entry("funding_spend", bases, T0 + 10 * S)["base_changed"]


# daily means


def day_of(days: Days, day: int, minutes: int, value: float, coverage: float = 1.0) -> None:
    for minute in range(minutes):
        ts = MIDNIGHT + day * DAY + minute * MINUTE
        days.tick(ts, value, sample(ts, step_s=60, coverage=coverage))


def test_a_day_counts_with_half_of_its_ticks_and_begins_at_midnight() -> None:
    days = Days()
    day_of(days, 0, 720, 5.0)
    assert days.means(MIDNIGHT + DAY - 10 * S)["1d"] is None
    assert days.means(MIDNIGHT + DAY) == {"1d": 5.0, "7d": None, "30d": None}
    assert days.means(MIDNIGHT + 2 * DAY)["1d"] is None
    day_of(days, 1, 719, 5.0)
    for tick in range(5):
        days.tick(MIDNIGHT + DAY + 12 * HOUR + tick * 10 * S, 5.0, sample(T0))
    assert days.means(MIDNIGHT + 2 * DAY)["1d"] is None  # 719 * 6 + 5 = 4319
    days.tick(MIDNIGHT + 2 * DAY - 10 * S, 4325.0, sample(T0))
    assert days.means(MIDNIGHT + 2 * DAY)["1d"] == pytest.approx(6.0)  # (4319 * 5 + 4325) / 4320


def test_ticks_without_quorum_coverage_or_base_do_not_enter() -> None:
    days = Days()
    day_of(days, 0, 719, 5.0)
    day_of(days, 0, 300, 7.0, coverage=0.79)
    days.tick(MIDNIGHT, 7.0, sample(T0, quorum=False))
    days.tick(MIDNIGHT, None, sample(T0, step_s=60))
    assert days.means(MIDNIGHT + DAY)["1d"] is None
    day_of(days, 0, 1, 5.0, coverage=0.8)
    assert days.means(MIDNIGHT + DAY)["1d"] == 5.0


def test_longer_means_need_most_of_their_days() -> None:
    days = Days()
    for day in range(30):
        day_of(days, day, 720 if day % 4 != 3 or day > 24 else 100, float(day))
    # of days 23 to 29 all but 23; of 0 to 29 those but 3, 7, 11, 15, 19, 23: 24 days that sum to 435 - 78
    assert days.means(MIDNIGHT + 30 * DAY) == {"1d": 29.0, "7d": 26.5, "30d": pytest.approx(357 / 24)}
    # of 15 to 21 five; 16 days in all
    assert days.means(MIDNIGHT + 22 * DAY) == {
        "1d": 21.0,
        "7d": pytest.approx((16 + 17 + 18 + 20 + 21) / 5),
        "30d": None,
    }
    assert days.means(MIDNIGHT + 31 * DAY)["1d"] is None
    assert days.means(MIDNIGHT + 33 * DAY)["7d"] is None  # 26 to 29 of 26 to 32


def test_ma_is_of_the_ratios_alone() -> None:
    days, bases = Days(), Bases(item(1000.0))
    for minute in range(720):
        entry("oi_mcap", bases, MIDNIGHT + minute * MINUTE, days, step_s=60)
    assert entry("oi_mcap", bases, MIDNIGHT + DAY, days)["ma"] == {"1d": pytest.approx(4.0), "7d": None, "30d": None}
    assert entry("oi_reserve", bases, MIDNIGHT + DAY, days)["ma"] == {"1d": None, "7d": None, "30d": None}
    assert entry("funding_spend", bases, MIDNIGHT + DAY, days)["ma"] is None


# positions


def position_entry(ts: int = T0, **sides: tuple[float, float]) -> dict[str, Any]:
    return entry("position_base", Bases(), ts, has_positions=True, positions=sides)


def test_position_base() -> None:
    got = position_entry(a=(20.0, 12.0), c=(7.0, 7.0))  # c is not in V
    assert (got["value"], got["reason"], got["unit"]) == (pytest.approx(30 / 32), None, "ratio")
    assert got["by_venue"] == {"a": pytest.approx(30 / 32)}
    assert got["scope"] == {"numerator": ["a"], "denominator": [], "coverage": 0.75, "match": None}
    assert [got[key] for key in ("z", "percentile", "n", "horizon_h", "change_1h", "band", "base", "ma")] == [
        *(None, None, 0, 0, None, None, None, None)
    ]


def test_position_base_says_when_it_means_nothing() -> None:
    got = position_entry(a=(30.0, 30.00002), b=(10.0, 10.0))
    assert (got["value"], got["reason"]) == (pytest.approx(0.5), "degenerate")
    assert position_entry(a=(30.0, 30.00004), b=(10.0, 10.0))["reason"] is None
    assert position_entry(a=(30.0, 30.0), b=(10.0, 11.0))["reason"] is None
    got = position_entry(c=(1.0, 1.0))
    assert (got["value"], got["reason"], got["by_venue"]) == (None, "no_positions", {})


def test_position_base_is_listed_once_somebody_has_reported_and_without_quorum_is_null() -> None:
    with pytest.raises(StopIteration):
        entry("position_base", Bases())
    nothing = sample(T0, quorum=False, has_positions=True, positions={"a": (1.0, 1.0)})
    got = entry_of("position_base", Bases(), nothing, Days())
    assert (got["value"], got["reason"], got["scope"]["numerator"]) == (None, "no_quorum", [])
