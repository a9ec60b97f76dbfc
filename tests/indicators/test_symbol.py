"""SymbolIndicators against the batch recomputation, its resumption, its re-anchoring and its size."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import exp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import OurBug
from service.indicators import SymbolIndicators
from service.model import Consensus, Readings
from tests.indicators.batch import Batch, differences
from tests.indicators.build import (
    DAY_MINUTES,
    MINUTE,
    SECOND,
    T0,
    Walk,
    is_tick,
    reloaded,
    run,
    sample,
    series,
)

HOUR = 3_600_000
GRID = 300_000
PHASES = st.lists(
    st.one_of(
        st.tuples(st.just("minutes"), st.integers(1, 150)),
        st.tuples(st.just("live"), st.integers(1, 400)),
        st.tuples(st.just("flat"), st.integers(1, 130)),
        st.tuples(st.just("dark"), st.integers(1, 130)),
        st.tuples(st.just("gap"), st.sampled_from((1, 2, 3, 40, 61, 600, 4000))),
    ),
    min_size=1,
    max_size=6,
).filter(lambda phases: any(kind != "gap" for kind, _ in phases))


def in_order(phases: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Back-filled phases first, as in a warm start; gaps stay among either."""
    return sorted(phases, key=lambda phase: phase[0] != "minutes")


def check(samples: list[Consensus], at: list[int]) -> list[Readings]:
    """Online readings equal the batch ones at the ticks with these numbers; all of them."""
    readings = run(SymbolIndicators("BTC"), samples)
    batch = Batch(samples, [reading.ts for reading in readings])
    for number in at:
        if -len(readings) <= number < len(readings):
            reading = readings[number]
            assert differences(batch.readings(reading.ts), reading) == []
            assert reading.consensus is batch.by_second[reading.ts // SECOND]
    return readings


@settings(max_examples=100)
@given(st.integers(0, 2**32), PHASES, st.lists(st.integers(0, 300), max_size=3))
def test_online_equals_batch(seed: int, phases: list[tuple[str, int]], at: list[int]) -> None:
    check(series(seed, in_order(phases)), [*at, -1])


def test_online_equals_batch_at_full_length() -> None:
    """26 h back-filled, an hour live: every horizon but the 30 days is passed."""
    phases = [
        ("minutes", 800),
        ("gap", 7200),
        ("minutes", 760),
        ("live", 3000),
        ("flat", 350),
        ("dark", 20),
        ("live", 330),
    ]
    samples = series(11, phases)
    count = sum(1 for item in samples if is_tick(item))
    at = [60, 799, 800, 1200, 1559, 1560, 1562, 1573, 1600, count - 40, count - 36, count - 33, count - 1]
    readings = check(samples, at)
    windows = [window for number in at for window in readings[number].windows]
    for name in ("z_taker", "taker_imbalance", "liquidation_intensity", "liquidated_long_coins"):
        assert any(getattr(window, name) is not None for window in windows), name
    # ten and a hundred and thirty live seconds after the past: 5m and 1h begin between two back-filled minutes
    for number in (1562, 1573):
        assert [(window.ready, window.backfilled) for window in readings[number].windows[1:]] == [(True, True)] * 2
        assert readings[number].ts % MINUTE != 0


def test_online_equals_batch_over_three_days_with_a_stop() -> None:
    """The binned past is in use, and a stop of more than a day empties the exact one."""
    phases = [("minutes", 2100), ("gap", 25 * 3600), ("minutes", 75), ("gap", 10 * 3600), ("minutes", 70), ("live", 60)]
    samples = series(12, phases)
    check(samples, [1500, 2099, 2100, 2101, 2130, 2174, 2175, -1])


def test_online_equals_batch_over_nine_days_of_hours() -> None:
    """The week of changes, and the scales of the windows of 4 h and 24 h, over hours without quorum."""
    walk = Walk(31)
    hourly: list[Consensus] = []
    for hour in range(230):
        walk.ts = T0 // HOUR * HOUR + hour * HOUR - MINUTE
        row = list(walk.phase("dark" if hour in (101, 102, 150) else "minutes", 1))
        hourly += [replace(item, ts=T0 // HOUR * HOUR + hour * HOUR) for item in row]
    walk.ts = hourly[-1].ts
    samples = hourly + list(walk.phase("minutes", 200))
    ticks = [item.ts for item in samples]
    at = [75, 76, 95, 96, 103, 105, 106, 168, 169, 215, 229]
    at += [ticks.index(ticks[229] + minutes * MINUTE) for minutes in (5, 60, 195)]
    readings = check(samples, at)
    ready = [[window.z_oi is not None for window in readings[n].swing_windows] for n in (75, 76, 95, 96, 229)]
    assert ready == [[False, False], [True, False], [True, False], [True, True], [True, True]]
    assert [readings[n].change_7d is None for n in (167, 168, 229)] == [True, False, False]


def test_flat_series_is_ready_and_zero() -> None:
    reading = run(
        SymbolIndicators("BTC"),
        [sample(T0 + m * MINUTE, step_s=60, oi_receipts=3, index=100.0, funding_8h=0.0001) for m in range(200)],
    )[-1]
    assert reading.statistics_ready
    for level in (reading.elr, reading.funding, reading.premium, reading.spread, reading.spend, reading.volatility):
        assert level.z == 0.0
        assert level.percentile == 0.5
    assert reading.volatility.value == 0.0
    for window in reading.windows:
        assert window.ready
        assert (window.ret, window.oi_change, window.z_return, window.z_oi) == (0.0, 0.0, 0.0, 0.0)


def test_statistics_ready_begins_with_sixty_volatilities() -> None:
    """60 returns make the first volatility; 60 of these, the last completed one apart, make its percentile."""
    readings = run(SymbolIndicators("BTC"), [sample(T0 + m * MINUTE, step_s=60) for m in range(123)])
    first = next(i for i, reading in enumerate(readings) if reading.volatility.value is not None)
    assert first == 61  # minutes 0..60 are complete: 60 returns
    ready = [reading.statistics_ready for reading in readings]
    assert ready.index(True) == 121
    assert readings[121].volatility.n == 60
    assert readings[121].volatility.percentile == 0.5
    assert readings[120].volatility.percentile is None


def test_no_quorum_has_no_levels_but_the_last_minutes_volatility() -> None:
    samples = [sample(T0 + m * MINUTE, step_s=60) for m in range(1500)]
    dark = sample(T0 + 1500 * MINUTE, step_s=60, quorum=False)
    reading = run(SymbolIndicators("BTC"), [*samples, dark])[-1]
    for level in (reading.elr, reading.funding, reading.funding_abs, reading.premium, reading.spread, reading.spend):
        assert (level.value, level.z, level.percentile) == (None, None, None)
        assert level.n >= DAY_MINUTES
    assert reading.change_24h is None
    assert reading.volatility.value == 0.0


def test_a_silent_past_knows_what_a_flush_over_four_hours_needs() -> None:
    """Cause guarded against: percentiles are left out there, and the day's volatility was with them."""
    samples = [sample(T0 + m * MINUTE, step_s=60, price=100 + m % 2, ln_oi_index=m * 1e-4) for m in range(300)]
    told, silent = SymbolIndicators("BTC"), SymbolIndicators("BTC")
    for item in samples:
        told.observe(item)
        silent.observe(item)
        one, other = told.read(item.ts), silent.read(item.ts, ranks=False)
        assert (one.change_4h, one.volatility.value) == (other.change_4h, other.volatility.value)
        assert one.swing_windows == other.swing_windows  # swing's score goes on from tick to tick
    assert one.change_4h == pytest.approx(0.024, rel=1e-12)
    assert one.volatility.value is not None


def test_windows_of_hours_are_measured_from_300_s_to_300_s() -> None:
    """By hand: 4 h of 1e-4 a minute; without quorum, off the grid, and before 4 h there is nothing."""
    indicators = SymbolIndicators("BTC")
    for m in range(301):
        ts = T0 // GRID * GRID + m * MINUTE
        quorum = m != 295
        indicators.observe(sample(ts, step_s=60, price=100 * exp(m * 2e-4), ln_oi_index=m * 1e-4, quorum=quorum))
        said = indicators.read(ts).swing_windows
        if m % 5 != 0:
            assert said == ()
            continue
        four, day = said
        assert (four.name, four.seconds, day.name, day.seconds) == ("4h", 14_400, "24h", 86_400)
        assert (day.ready, day.ret, day.oi_change) == (False, None, None)
        assert four.ready == (m >= 240 and quorum)
        assert (four.z_return, four.z_oi) == (None, None)
        if four.ready:
            assert (four.ret, four.oi_change) == (pytest.approx(0.048), pytest.approx(0.024))


def test_a_symbol_that_never_had_a_quorum_has_no_lookback() -> None:
    indicators = SymbolIndicators("BTC")
    for m in range(0, 300, 5):
        ts = T0 // GRID * GRID + m * MINUTE
        indicators.observe(sample(ts, step_s=60, quorum=False))
        read = indicators.read(ts)
        assert (read.change_7d, read.change_24h, read.change_4h, read.volatility_24h) == (None, None, None, None)
        assert [(window.ready, window.ret, window.z_oi) for window in read.swing_windows] == [(False, None, None)] * 2


def test_change_24h_is_to_the_minute_exactly_a_day_before() -> None:
    samples = [sample(T0 + m * MINUTE, step_s=60, ln_oi_index=m * 1e-4) for m in range(1600) if m != 100]
    readings = {reading.ts: reading for reading in run(SymbolIndicators("BTC"), samples)}
    assert readings[T0 + 1439 * MINUTE].change_24h is None
    assert readings[T0 + 1440 * MINUTE].change_24h == pytest.approx(0.144, rel=1e-12)
    assert readings[T0 + 1540 * MINUTE].change_24h is None
    assert readings[T0 + 1541 * MINUTE].change_24h == pytest.approx(0.144, rel=1e-12)


def test_reading_twice_updates_the_scales_once() -> None:
    samples = series(3, [("minutes", 90), ("live", 600)])
    once, twice = SymbolIndicators("BTC"), SymbolIndicators("BTC")
    for item in samples:
        once.observe(item)
        twice.observe(item)
        if is_tick(item):
            expected = once.read(item.ts)
            assert twice.read(item.ts) == expected
            assert twice.read(item.ts) == expected
    assert once.dump() == twice.dump()


def test_reading_without_the_sample_is_a_bug() -> None:
    indicators = SymbolIndicators("BTC")
    with pytest.raises(OurBug):
        indicators.read(T0)
    indicators.observe(sample(T0))
    with pytest.raises(OurBug):
        indicators.read(T0 + 10 * SECOND)


@settings(max_examples=25)
@given(st.integers(0, 2**32), PHASES, st.floats(0, 1))
def test_resumed_anywhere_equals_never_stopped(seed: int, phases: list[tuple[str, int]], where: float) -> None:
    samples = series(seed, in_order(phases))
    cut = int(where * (len(samples) - 1))
    whole = SymbolIndicators("BTC")
    run(whole, samples[:cut])
    resumed = reloaded(whole)
    assert run(resumed, samples[cut:]) == run(whole, samples[cut:])
    assert resumed.dump() == whole.dump()


def test_resumed_between_observation_and_reading() -> None:
    samples = series(5, [("minutes", 1600), ("live", 65)])
    samples = samples[: max(i for i, item in enumerate(samples) if is_tick(item)) + 1]
    whole = SymbolIndicators("BTC")
    run(whole, samples[:-1])
    whole.observe(samples[-1])
    resumed = reloaded(whole)
    assert resumed.read(samples[-1].ts) == whole.read(samples[-1].ts)
    assert resumed.dump() == whole.dump()


def test_a_dump_of_something_else_is_refused() -> None:
    plain = SymbolIndicators("BTC").dump()
    del plain["_ring"]
    with pytest.raises(ValueError, match="SymbolIndicators"):
        SymbolIndicators("BTC").load(plain)


def shifted(samples: list[Consensus], delta_ms: int) -> list[Consensus]:
    return [replace(item, ts=item.ts + delta_ms) for item in samples]


@pytest.mark.parametrize(
    ("delta", "minutes_before"),
    [
        (-7_000, 1500),
        (7_000, 1500),
        (-600_000, 1500),
        (3_600_000, 1500),
        (2 * 86_400_000, 1500),
        # Every tenth minute is chosen when it leaves the 24 h, so these shifts are compared before any has.
        (-180_000, 1400),
        (-100_000, 1400),
        (91_000, 1400),
    ],
)
def test_reanchor_moves_seconds_and_minutes(delta: int, minutes_before: int) -> None:
    """Before and after by the same batch, samples shifted by seconds and minute values by rounded minutes."""
    # Ten-second buckets are only moved exactly by whole ones.
    walk = Walk(21, flow=delta % 10_000 == 0)
    before = [*walk.phase("minutes", minutes_before), *walk.phase("live", 700)]
    indicators = SymbolIndicators("BTC")
    old_ticks = [reading.ts for reading in run(indicators, before)]
    indicators.reanchor(delta)
    walk.ts += delta
    after = list(walk.phase("live", 400))
    readings = run(indicators, after)
    moved = [item.ts // MINUTE + round(delta / MINUTE) for item in before]
    minutes = moved + [max(moved[-1], item.ts // MINUTE) for item in after]
    moved_hours = [-(-item.ts // HOUR) + round(delta / HOUR) for item in before]
    moved_grid = [-(-item.ts // GRID) + round(delta / GRID) for item in before]
    batch = Batch(
        shifted(before, delta) + after,
        [ts + delta for ts in old_ticks] + [reading.ts for reading in readings],
        minutes,
        moved_hours + [max(moved_hours[-1], -(-item.ts // HOUR)) for item in after],
        moved_grid + [max(moved_grid[-1], -(-item.ts // GRID)) for item in after],
    )
    for reading in (readings[0], readings[10], readings[-1]):
        now = max(moved[-1], reading.ts // MINUTE)
        assert differences(batch.readings(reading.ts, now), reading) == []


def test_reanchor_by_fractions_of_a_second_rounds() -> None:
    indicators, still = SymbolIndicators("BTC"), SymbolIndicators("BTC")
    samples = series(4, [("live", 100)])
    run(indicators, samples)
    run(still, samples)
    indicators.reanchor(400)
    indicators.reanchor(-499)
    assert indicators.dump() == still.dump()


def deep_size(value: Any, seen: set[int]) -> int:
    """Bytes of an object and everything only it holds (constants and shared messages count once)."""
    if id(value) in seen or value is None:
        return 0
    seen.add(id(value))
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(deep_size(item, seen) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple):
        return size + sum(deep_size(item, seen) for item in value)
    names = {name for base in type(value).__mro__ for name in getattr(base, "__slots__", ())}
    return size + sum(deep_size(getattr(value, name, None), seen) for name in sorted(names))


def test_memory_of_a_symbol_is_bounded() -> None:
    """Measured: 286 kB after 31 days with flow of three venues (CPython 3.11), every horizon full; then no more."""
    indicators = SymbolIndicators("BTC")
    walk = Walk(8)
    run(indicators, walk.phase("minutes", 60))
    levels = indicators._levels.each()
    minute = walk.ts // MINUTE

    def fill(days: int) -> int:
        """The past of the levels, minute by minute, without the cost of reading each."""
        nonlocal minute
        for _ in range(days * DAY_MINUTES):
            minute += 1
            for level in levels:
                level.update(minute, 1e-4 * (1 + minute % 977))
        minute += 1
        indicators._book.minute = minute
        walk.ts = minute * MINUTE
        run(indicators, walk.phase("live", 600))
        minute = walk.ts // MINUTE
        return deep_size(indicators, set())

    filled = fill(31)
    assert 150_000 < filled < 300_000
    assert fill(2) < filled + 10_000
