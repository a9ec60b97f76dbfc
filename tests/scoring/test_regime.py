from __future__ import annotations

from math import exp, log
from typing import Any

import pytest

from service.model import Readings
from service.scoring.regime import Flush, falls, fragility, regime
from tests.scoring.factory import HOUR_MS, T0, consensus, forced, level, no_data, readings, ticks

HIT_1H = {"oi_change": log(0.975), "slow_z_oi": -3.0, "slow_z_return": -2.0}
HIT_5M = {"oi_change": log(0.98), "slow_z_oi": -3.0, "slow_z_return": 2.0}
BARELY = 1 - 1e-12
PAUSE = 90  # ticks without a fall that end a flush: a quarter of an hour


def at(ts: int, height: float, **changes: Any) -> Readings:
    return readings(ts, consensus(ts, ln_oi_index=height), **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"w1h": HIT_1H}, [log(0.975)]),
        ({"w5m": HIT_5M}, [log(0.98)]),
        ({"w1h": HIT_1H, "w5m": HIT_5M}, [log(0.975), log(0.98)]),
        ({"w1m": HIT_1H}, []),
        ({"w1h": HIT_1H | {"slow_z_return": 2.0}}, [log(0.975)]),
        ({"w1h": HIT_1H | {"oi_change": log(0.975) * BARELY}}, []),
        ({"w1h": HIT_1H | {"slow_z_oi": -3.0 * BARELY}}, []),
        ({"w1h": HIT_1H | {"slow_z_return": 2.0 * BARELY}}, []),
        ({"w5m": HIT_5M | {"oi_change": log(0.98) * BARELY}}, []),
        ({"w5m": HIT_5M | {"slow_z_oi": -3.0 * BARELY}}, []),
        ({"w5m": HIT_5M | {"slow_z_return": -2.0 * BARELY}}, []),
        ({"w1h": HIT_1H | {"ready": False}}, []),
        ({"w1h": HIT_1H | {"oi_change": None}}, []),
        ({"w1h": HIT_1H | {"slow_z_oi": None}}, []),
        ({"w1h": HIT_1H | {"slow_z_return": None}}, []),
    ],
)
def test_flush_condition(changes: dict[str, Any], expected: list[float]) -> None:
    assert falls(readings(**changes)) == expected


def test_without_quorum_nothing_flushes() -> None:
    assert falls(readings(sample=no_data(), w1h=HIT_1H)) == []


SLOW = {"change_4h": log(0.94), "volatility": level(0.025), "w1h": {"oi_change": -0.02, "slow_z_oi": -1.0}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [log(0.94)]),
        ({"change_4h": log(0.94) * BARELY}, []),
        ({"change_4h": None}, []),
        ({"volatility": level(0.025 * BARELY)}, []),
        ({"volatility": level(None)}, []),
        ({"w1h": {"slow_z_oi": -1.0 * BARELY}}, []),
        ({"w1h": {"slow_z_oi": None}}, []),
        ({"w1h": {"slow_z_oi": -1.0, "oi_change": None}}, []),
        ({"w1h": {"slow_z_oi": -1.0, "ready": False}}, []),
        ({"w1h": HIT_1H}, [log(0.975), log(0.94)]),
    ],
)
def test_a_deep_fall_over_four_hours_is_a_flush_while_it_goes_on(
    changes: dict[str, Any], expected: list[float]
) -> None:
    """Cause: where open interest is restless no hour is three times the usual; 2026-02-05 (-22 %) was not seen."""
    assert falls(readings(**SLOW | changes)) == expected


def test_without_quorum_nothing_flushes_over_four_hours() -> None:
    assert falls(readings(sample=no_data(), **SLOW)) == []


def test_flush_reset_calm() -> None:
    """A fall from 1.0 by 0.05, to the trough at 0.93: half of it is regained at 0.965."""
    flush = Flush()
    hit = {"w1h": HIT_1H | {"oi_change": -0.05}}
    walk: list[tuple[int, float, dict[str, Any], str]] = [
        (0, 1.0, {}, "calm"),
        (1, 0.95, hit, "flush"),
        (2, 0.94, hit, "flush"),
        (3, 0.93, {}, "flush"),
        (2 + PAUSE - 1, 0.94, {}, "flush"),
        (2 + PAUSE, 0.92, {}, "reset"),
        (3 + PAUSE, 0.9649, {}, "reset"),
        (4 + PAUSE, 0.9651, {}, "calm"),
        (5 + PAUSE, 0.93, {}, "calm"),
    ]
    for n, height, changes, expected in walk:
        now = at(ticks(n), height, **changes)
        flush.update(now)
        assert regime(now, flush) == expected, n


# Of 1,000 coins left after a fall of ln 0.975, 1000/0.975 - 1000 = 25.64 are gone: a tenth is 2.564.
ENOUGH = 0.1 * (1000 / 0.975 - 1000)


@pytest.mark.parametrize(
    ("liquidated", "heard", "expected"),
    [
        ((ENOUGH * 0.4, ENOUGH * 0.6 * (1 + 1e-9)), True, True),
        ((ENOUGH * (1 - 1e-9), 0.0), True, False),
        (None, True, False),
        (None, False, None),
    ],
)
def test_forced_is_a_tenth_of_the_coins_that_fell(
    liquidated: tuple[float, float] | None, heard: bool, expected: bool | None
) -> None:
    flush = Flush()
    told = {} if liquidated is None else forced(*liquidated)
    flush.update(at(T0, 0.9, w1h=HIT_1H | told, liquidations_heard=heard))
    assert flush.told() == {"since": T0, "forced": expected}


@pytest.mark.parametrize(("liquidated", "expected"), [(99.99999, False), (100.0, True)])
def test_exactly_a_tenth_is_enough(liquidated: float, expected: bool) -> None:
    """Of 1,000 coins left after a fall to the half, 1,000 are gone; all numbers here are exact."""
    flush = Flush()
    flush.update(at(T0, 0.9, w1h=HIT_1H | {"oi_change": log(0.5)} | forced(liquidated, 0.0), liquidations_heard=True))
    assert flush.forced is expected


def test_of_two_windows_the_larger_fall_is_what_must_be_explained() -> None:
    flush = Flush()
    told = {"w1h": HIT_1H | {"oi_change": log(0.9)} | forced(10.0, 0.0), "w5m": HIT_5M}
    flush.update(at(T0, 0.5, liquidations_heard=True, **told))
    assert flush.forced is False  # 111 coins went in the hour, 20.4 in five minutes
    flush.update(at(ticks(1), 0.5, liquidations_heard=True, **told | {"w1h": HIT_1H | forced(10.0, 0.0)}))
    assert flush.forced is True


def test_forced_stays_for_its_flush_and_is_asked_anew_by_the_next() -> None:
    flush = Flush()
    flush.update(at(ticks(0), 0.9, w1h=HIT_1H, liquidations_heard=False))
    assert flush.told() == {"since": ticks(0), "forced": None}
    flush.update(at(ticks(1), 0.9, w1h=HIT_1H, liquidations_heard=True))
    assert flush.told() == {"since": ticks(0), "forced": False}
    flush.update(at(ticks(2), 0.9, w1h=HIT_1H | forced(3.0, 0.0), liquidations_heard=True))
    flush.update(at(ticks(3), 0.9, w1h=HIT_1H, liquidations_heard=True))
    assert flush.told() == {"since": ticks(0), "forced": True}
    end = 3 + PAUSE
    flush.update(at(ticks(end), 0.9))
    assert (flush.told(), flush.forced) == (None, True)  # the alert that clears still says it
    flush.update(at(ticks(end + 1), 0.9, w1h=HIT_1H, liquidations_heard=True))
    assert flush.told() == {"since": ticks(end + 1), "forced": False}


def test_of_a_fall_over_four_hours_the_last_hour_is_what_liquidations_explain() -> None:
    """Liquidations are counted over the hour: of 1,000 coins left after its 2 %, 20.4 are gone; of the 6 %, 63.8."""
    flush = Flush()
    told = forced(2.1, 0.0) | {"oi_change": log(0.98), "slow_z_oi": -1.0}
    flush.update(at(T0, 0.9, liquidations_heard=True, **SLOW | {"w1h": told}))
    assert flush.told() == {"since": T0, "forced": True}


def test_a_fall_of_everything_divides_by_nothing() -> None:
    """Cause guarded against: exp(d_w) of a fall of hundreds is 0."""
    flush = Flush()
    flush.update(at(T0, -900.0, w1h=HIT_1H | {"oi_change": -900.0} | forced(1e6, 0.0)))
    assert flush.forced is None


def test_reanchor_moves_the_start_of_a_flush() -> None:
    flush = Flush()
    flush.update(at(T0, 0.5, w1h=HIT_1H))
    flush.reanchor(-7_000)
    assert flush.told() == {"since": T0 - 7_000, "forced": None}


def test_reset_ends_at_exactly_half() -> None:
    flush = Flush()
    flush.update(at(ticks(0), 0.5, w1h=HIT_1H | {"oi_change": -0.5}))
    flush.update(at(ticks(PAUSE), 0.75 * BARELY))
    assert flush.resetting
    flush.update(at(ticks(PAUSE + 1), 0.75))
    assert not flush.resetting


def test_a_flush_that_ends_regained_has_no_reset() -> None:
    flush = Flush()
    flush.update(at(ticks(0), 0.5, w1h=HIT_1H | {"oi_change": -0.5}))
    flush.update(at(ticks(PAUSE), 0.76))
    assert (flush.flushing, flush.resetting) == (False, False)


def test_the_higher_peak_of_both_windows_counts() -> None:
    """Peaks 1.0 (5m) and 0.8 (1h), trough 0.5: half is 0.75."""
    flush = Flush()
    flush.update(at(ticks(0), 0.5, w1h=HIT_1H | {"oi_change": -0.3}, w5m=HIT_5M | {"oi_change": -0.5}))
    flush.update(at(ticks(PAUSE), 0.74))
    assert flush.resetting


def test_reset_lasts_at_most_72_hours() -> None:
    flush = Flush()
    flush.update(at(T0, 0.5, w1h=HIT_1H | {"oi_change": -0.5}))
    end = ticks(PAUSE)
    flush.update(at(end, 0.5))
    flush.update(at(end + 72 * HOUR_MS, 0.5))
    assert flush.resetting
    flush.update(at(end + 72 * HOUR_MS + 1, 0.5))
    assert not flush.resetting


def test_reanchor_keeps_the_age_of_a_reset() -> None:
    flush = Flush()
    flush.update(at(T0, 0.5, w1h=HIT_1H | {"oi_change": -0.5}))
    flush.update(at(ticks(PAUSE), 0.5))
    flush.reanchor(-HOUR_MS)
    flush.update(at(ticks(PAUSE) + 72 * HOUR_MS - HOUR_MS, 0.5))
    assert flush.resetting
    flush.update(at(ticks(PAUSE + 1) + 72 * HOUR_MS - HOUR_MS, 0.5))
    assert not flush.resetting


def test_a_new_flush_replaces_the_reset() -> None:
    flush = Flush()
    flush.update(at(ticks(0), 0.5, w1h=HIT_1H | {"oi_change": -0.5}))
    flush.update(at(ticks(PAUSE), 0.5))
    again = PAUSE + 1
    flush.update(at(ticks(again), 0.4, w5m=HIT_5M | {"oi_change": -0.1}))
    assert (flush.flushing, flush.resetting) == (True, False)
    flush.update(at(ticks(again + PAUSE), 0.44))
    assert flush.resetting
    flush.update(at(ticks(again + PAUSE + 1), 0.46))
    assert not flush.resetting


def test_a_pause_under_a_quarter_of_an_hour_is_the_same_flush() -> None:
    """Cause: a change that hovers about its threshold began a flush, with an alert, at each crossing."""
    flush = Flush()
    flush.update(at(ticks(0), 0.9, w1h=HIT_1H))
    for n in (1, PAUSE - 1):
        flush.update(at(ticks(n), 0.9))
        assert flush.told() == {"since": T0, "forced": None}
    flush.update(at(ticks(PAUSE - 1), 0.9, w1h=HIT_1H))
    flush.update(at(ticks(2 * PAUSE - 2), 0.9))
    assert flush.told() == {"since": T0, "forced": None}
    flush.update(at(ticks(2 * PAUSE - 1), 0.9))
    assert flush.told() is None


def test_an_hourly_row_without_a_fall_ends_a_flush() -> None:
    flush = Flush()
    flush.update(at(T0, 0.9, w1h=HIT_1H))
    flush.update(at(T0 + HOUR_MS, 0.9))
    assert (flush.flushing, flush.resetting) == (False, True)


def test_losing_the_quorum_for_a_tick_does_not_begin_the_flush_anew() -> None:
    flush = Flush()
    flush.update(at(ticks(0), 0.9, w1h=HIT_1H))
    flush.update(readings(ticks(1), no_data(ticks(1), ln_oi_index=0.9)))
    flush.update(at(ticks(2), 0.9, w1h=HIT_1H))
    assert flush.told() == {"since": T0, "forced": None}


def test_a_quarter_of_an_hour_without_quorum_ends_a_flush() -> None:
    """Cause: a flush that waited for the quorum would still stand hours after a fall that nobody saw go on."""
    flush = Flush()
    flush.update(at(ticks(0), 0.9, w1h=HIT_1H))
    for n, flushing in ((PAUSE - 1, True), (PAUSE, False)):
        flush.update(readings(ticks(n), no_data(ticks(n), ln_oi_index=0.9)))
        assert (flush.flushing, flush.resetting) == (flushing, not flushing)


STILL = {"slow_z_oi": -1.0, "oi_change": -0.01}
RISING = {"slow_z_oi": 1.0, "oi_change": 0.01}


def stepped(flush: Flush, n: int, height: float, **changes: Any) -> tuple[bool | None, bool | None]:
    now = at(ticks(n), height, **changes)
    flush.update(now)
    return flush.falling(now), flush.flushed_1h(now)


def test_falling_needs_a_flush_a_fall_of_five_minutes_and_a_new_low() -> None:
    flush = Flush()
    assert stepped(flush, 0, 1.0, w5m=STILL) == (False, False)  # no flush
    assert stepped(flush, 1, 0.95, w1h=HIT_1H, w5m=STILL) == (True, True)
    assert stepped(flush, 2, 0.95, w1h=HIT_1H, w5m=STILL | {"slow_z_oi": BARELY * -1.0}) == (False, True)
    assert stepped(flush, 30, 0.95, w1h=HIT_1H, w5m=STILL) == (True, True)  # the low is 290 s old
    assert stepped(flush, 31, 0.95, w1h=HIT_1H, w5m=STILL) == (False, True)  # 300 s
    assert stepped(flush, 32, 0.94, w1h=HIT_1H, w5m=STILL) == (True, True)
    assert stepped(flush, 33, 0.93, w5m=STILL) == (True, True)  # it lasts, though no window stands out at this tick


def test_what_goes_on_falling_after_a_flush_is_none() -> None:
    """The lows of the pause that ends a flush are recent when it ends."""
    flush = Flush()
    stepped(flush, 0, 0.95, w1h=HIT_1H, w5m=STILL)
    assert stepped(flush, PAUSE - 1, 0.94, w5m=STILL) == (True, True)
    assert stepped(flush, PAUSE, 0.93, w5m=STILL) == (False, True)
    assert flush.resetting


def test_flushed_within_the_hour_counts_from_the_last_tick_of_falling() -> None:
    """Cause: `flush` stays while the hour's change is deep, long after open interest has stopped falling."""
    flush = Flush()
    assert stepped(flush, 0, 0.95, w1h=HIT_1H, w5m=STILL) == (True, True)
    assert stepped(flush, 359, 0.96, w1h=HIT_1H, w5m=RISING) == (False, True)
    assert stepped(flush, 360, 0.96, w1h=HIT_1H, w5m=RISING) == (False, False)
    assert flush.flushing


def test_where_five_minutes_are_not_known_the_hour_tells() -> None:
    flush = Flush()
    blank = {"slow_z_oi": None}
    assert stepped(flush, 0, 0.95, w1h=HIT_1H, w5m=blank) == (True, True)
    assert stepped(flush, 359, 0.95, w1h=HIT_1H, w5m=blank) == (True, True)
    assert stepped(flush, 360, 0.95, w1h=HIT_1H, w5m=blank) == (False, True)


def test_what_is_not_known_is_not_denied() -> None:
    flush, blank = Flush(), {"slow_z_oi": None}
    assert stepped(flush, 0, 0.95, w1h=blank, w5m=blank) == (None, None)
    assert stepped(flush, 1, 0.95, w1h=blank, w5m=STILL) == (False, None)
    dark = readings(ticks(2), no_data(ticks(2), ln_oi_index=0.95))
    flush.update(dark)
    assert (flush.falling(dark), flush.flushed_1h(dark)) == (None, None)


def test_reanchor_keeps_the_ages_of_a_flush() -> None:
    flush = Flush()
    stepped(flush, 0, 0.95, w1h=HIT_1H, w5m=STILL)
    flush.reanchor(-HOUR_MS)
    hour = HOUR_MS // 10_000
    assert stepped(flush, PAUSE - 1 - hour, 0.95, w5m=RISING) == (False, True)
    assert flush.flushing
    assert stepped(flush, PAUSE - hour, 0.95, w5m=RISING) == (False, True)
    assert not flush.flushing
    assert stepped(flush, 0, 0.95) == (False, False)


def test_a_state_from_before_the_pause_still_loads() -> None:
    """Its flush ends at the first tick without a fall, as it did then."""
    flush, old = Flush(), Flush()
    stepped(old, 0, 0.95, w1h=HIT_1H, w5m=STILL)
    plain = {name: value for name, value in old.dump().items() if name not in ("_fell", "_fired", "_trough_at")}
    flush.load(plain)
    assert flush.told() == {"since": T0, "forced": None}
    assert stepped(flush, 1, 0.96, w5m=RISING) == (False, False)
    assert flush.resetting


LOADED = {"elr": level(percentile=0.8)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (LOADED | {"funding": level(z=2.0)}, "crowded_longs"),
        (LOADED | {"funding": level(z=2.0 * BARELY)}, "loaded"),
        (LOADED | {"funding": level(z=-2.0)}, "crowded_shorts"),
        (LOADED | {"funding": level(z=-2.0 * BARELY)}, "loaded"),
        (LOADED | {"funding": level(z=None)}, "loaded"),
        ({"elr": level(percentile=0.8 * BARELY), "funding": level(z=9.0)}, "calm"),
        (LOADED | {"change_24h": 1.0}, "loaded"),
        ({"change_24h": log(1.03)}, "building"),
        ({"change_24h": log(1.03) * BARELY}, "calm"),
        ({"change_24h": -1.0}, "calm"),
        ({"change_24h": None}, "calm"),
        ({"elr": level(percentile=None), "change_24h": 1.0}, None),
    ],
)
def test_regimes(changes: dict[str, Any], expected: str | None) -> None:
    assert regime(readings(**changes), Flush()) == expected


def test_building_is_three_per_cent() -> None:
    assert exp(log(1.03)) - 1 == pytest.approx(0.03, rel=1e-14)


def test_flush_and_reset_need_no_percentile() -> None:
    flush = Flush()
    unranked = level(percentile=None)
    now = at(T0, 0.5, elr=unranked, w1h=HIT_1H | {"oi_change": -0.5})
    flush.update(now)
    assert regime(now, flush) == "flush"
    now = at(ticks(PAUSE), 0.5, elr=unranked)
    flush.update(now)
    assert regime(now, flush) == "reset"


def test_no_regime_without_quorum() -> None:
    flush = Flush()
    flush.update(at(T0, 0.5, w1h=HIT_1H | {"oi_change": -0.5}))
    now = readings(ticks(1), no_data(ticks(1), ln_oi_index=0.5))
    flush.update(now)
    assert regime(now, flush) is None


def test_fragility() -> None:
    assert fragility(readings()) == pytest.approx((0.41 + 0.42 + 0.43) / 3, rel=1e-15)
    for name in ("elr", "funding_abs", "volatility"):
        assert fragility(readings(**{name: level(percentile=None)})) is None
    zero = level(percentile=0.0)
    assert fragility(readings(elr=zero, funding_abs=zero, volatility=zero)) == 0.0
    assert fragility(readings(sample=no_data())) is None
