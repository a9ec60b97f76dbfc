"""The pure line: what a tick may see, whatever the timers do; exact save and restore; shifts that change no age."""

from __future__ import annotations

from math import log
from typing import Any

import orjson
import pytest

from service.config import Config
from service.core.build import rules_of
from service.core.engine import STALE_BY_MS, Engine
from service.model import Denominator, Event, Flow, Liquidation, LongShort, Positions, Tick
from tests.core.build import T0, both, engine, mark


def feed(target: Engine, start: int, seconds: int, price: float = 100.0) -> list[Tick]:
    """``both`` once a second, with the timer firing after each second."""
    ticks = []
    for second in range(1, seconds + 1):
        ts = start + second * 1000
        for event in both(ts - 500, price + 0.001 * second):
            target.apply(event)
        ticks += target.advance(ts)
    return ticks


def test_a_tick_uses_what_was_received_up_to_its_time_and_nothing_later() -> None:
    target = engine()
    target.advance(T0)
    for event in both(T0 + 9_000, 100.0):
        target.apply(event)
    for venue in ("bybit", "okx"):
        target.apply(mark(venue, T0 + 10_000, 101.0))  # exactly at the tick: seen
    for venue in ("bybit", "okx"):
        target.apply(mark(venue, T0 + 10_001, 102.0))  # a millisecond later: not
    (tick,) = target.advance(T0 + 10_001)
    assert tick.ts == T0 + 10_000
    assert tick.signals[0]["market"]["price"] == 101.0
    assert tick.signals[0]["ts"] == T0 + 10_000


def test_late_timers_change_nothing() -> None:
    """Cause guarded against: a tick scored when its timer fires sees what arrived in the meantime."""
    prompt, late = engine(), engine()
    prompt.advance(T0)
    late.advance(T0)
    promptly = feed(prompt, T0, 30)
    for second in range(1, 31):
        for event in both(T0 + second * 1000 - 500, 100.0 + 0.001 * second):
            late.apply(event)
    lately = late.advance(T0 + 30_000)
    assert [tick.ts for tick in lately] == [T0 + 10_000, T0 + 20_000, T0 + 30_000]
    assert orjson.dumps([tick.signals for tick in lately]) == orjson.dumps([tick.signals for tick in promptly])


def test_a_cold_engine_begins_at_its_first_event_or_advance() -> None:
    target = engine()
    for event in both(T0 + 4_300, 100.0):
        target.apply(event)
    (tick,) = target.advance(T0 + 12_000)
    assert tick.ts == T0 + 10_000
    assert tick.signals[0]["market"]["price"] == 100.0


def test_silence_is_no_data_not_an_old_number() -> None:
    target = engine()
    target.advance(T0)
    feed(target, T0, 10)
    ticks = target.advance(T0 + 60_000)
    statuses = [tick.signals[0]["status"] for tick in ticks]
    assert statuses == ["warming", "no_data", "no_data", "no_data", "no_data"]  # marks are fresh for 15 s
    assert ticks[-1].signals[0]["score"] is None
    assert ticks[-1].signals[0]["market"]["price"] is None


def test_save_and_restore_at_any_second_go_on_exactly() -> None:
    for cut in (1, 7, 10, 13):
        straight, first = engine(), engine()
        straight.advance(T0)
        first.advance(T0)
        feed(straight, T0, cut)
        feed(first, T0, cut)
        second = engine()
        second.restore(orjson.loads(orjson.dumps(first.save())))
        begin = T0 + cut * 1000
        assert second.advance(begin) == []
        expected = feed(straight, begin, 40, 100.5)
        got = feed(second, begin, 40, 100.5)
        assert orjson.dumps([tick.signals for tick in got]) == orjson.dumps([tick.signals for tick in expected])


def test_a_state_that_does_not_fit_is_refused() -> None:
    saved = engine().save()
    other = Engine(["ETH"], [], engine().market_settings, [])
    with pytest.raises(ValueError, match="other symbols"):
        other.restore(saved)
    with pytest.raises(ValueError, match="version 99"):
        engine().restore({**saved, "version": 99})


def test_backfilled_minutes_come_before_live_and_in_order() -> None:
    target = engine()
    for event in both(T0, 100.0):
        target.apply(event)
    tick = target.backfill(T0)
    assert tick.alerts == ()
    with pytest.raises(ValueError, match="not a UTC minute after"):
        target.backfill(T0)
    with pytest.raises(ValueError, match="not a UTC minute after"):
        target.backfill(T0 + 61_000)
    target.advance(T0 + 1000)
    with pytest.raises(ValueError, match="before the first advance"):
        target.backfill(T0 + 120_000)


def test_a_silent_past_leaves_the_state_of_a_told_one() -> None:
    told, silent = engine(), engine()
    for minute in range(130):
        for target in (told, silent):
            for event in both(T0 + minute * 60_000, 100.0 + minute % 7 * 0.1):
                target.apply(event)
        assert told.backfill(T0 + minute * 60_000).signals != ()
        assert silent.backfill(T0 + minute * 60_000, silent=True).signals == ()
    start = T0 + 129 * 60_000
    for second in range(1, 91):
        for target in (told, silent):
            for event in both(start + second * 1000, 100.0 + second % 11 * 0.1):
                target.apply(event)
        ticks = told.advance(start + second * 1000, live=False)
        assert len(ticks) == (second % 10 == 0)
        assert silent.advance(start + second * 1000, live=False, silent=True) == []
    assert orjson.dumps(silent.save()) == orjson.dumps(told.save())
    live = start + 100_000
    assert orjson.dumps([tick.signals for tick in silent.advance(live)]) == orjson.dumps(
        [tick.signals for tick in told.advance(live)]
    )


@pytest.mark.parametrize("shift_ms", [3_600_000, -3_600_000, 1_234, -777])
def test_a_reanchor_changes_no_age_and_no_number(shift_ms: int) -> None:
    straight, shifted = engine(), engine()
    straight.advance(T0)
    shifted.advance(T0)
    feed(straight, T0, 70)
    feed(shifted, T0, 70)
    shifted.reanchor(shift_ms)
    at = T0 + 70_000
    straight.advance(at + 5_000)
    shifted.advance(at + 5_000 + shift_ms)
    a, b = straight.samples[0], shifted.samples[0]
    assert (a.price, a.oi_coins, a.ln_oi_index) == (b.price, b.oi_coins, b.ln_oi_index)
    for before, after in zip(a.venues, b.venues, strict=True):
        # samples stand on whole seconds of the new time, so ages differ by less than one
        assert before.age_mark_ms is not None
        assert after.age_mark_ms is not None
        assert abs(before.age_mark_ms - after.age_mark_ms) < 1000
        assert before.states == after.states


def test_refusals_are_counted_by_venue_and_code() -> None:
    target = engine()
    target.advance(T0)
    feed(target, T0, 2)
    target.apply(mark("okx", T0 + 2_100, 110.0))
    assert target.refused == {("okx", "quarantined_mark"): 1}


# -- extra streams and bases -------------------------------------------------------------------------------------


def supply(coins: float) -> Denominator:
    return Denominator("BTC", coins, (), T0, "count", "free")


def reported(ts: int, second: int) -> list[Event]:
    """Trades and liquidations of one venue, positions and shares of the other."""
    return [
        Flow("bybit", "BTCUSDT", "BTC", 2.0 + second % 3, 1.0, None, ts),
        Liquidation("bybit", "BTCUSDT", "BTC", "long", 1.0 + second % 5, 100.0, True, None, ts),
        Positions("okx", "BTCUSDT", "BTC", 300.0, 200.0, None, ts),
        LongShort("okx", "BTCUSDT", "BTC", "account", 0.5 + second % 2 / 10, None, ts),
    ]


def busy(target: Engine, start: int, seconds: int) -> list[Tick]:
    ticks = []
    for second in range(1, seconds + 1):
        ts = start + second * 1000
        for event in (*both(ts - 500, 100.0 + 0.01 * (second % 13)), *reported(ts - 400, second)):
            target.apply(event)
        if second == 95:
            target.denominate(supply(40_000.0))
        ticks += target.advance(ts)
    return ticks


def test_a_base_counts_from_the_next_tick_on() -> None:
    target = engine()
    target.advance(T0)
    (before,) = feed(target, T0, 10)
    assert before.signals[0]["elr"][1]["reason"] == "no_denominator"
    target.denominate(supply(20_000.0))
    (after,) = feed(target, T0 + 10_000, 10)
    assert (after.signals[0]["elr"][1]["value"], after.signals[0]["elr"][1]["base_changed"]) == (10.0, False)
    target.denominate(supply(40_000.0))
    (changed,) = feed(target, T0 + 20_000, 10)
    assert (changed.signals[0]["elr"][1]["value"], changed.signals[0]["elr"][1]["base_changed"]) == (5.0, True)


def test_a_base_changes_no_tick_before_it_however_late_the_timers_are() -> None:
    """Cause guarded against: a base that arrived at 12 s is not seen by the tick of 10 s, when the timer is late."""
    prompt, late = engine(), engine()
    for target in (prompt, late):
        target.advance(T0)
        for event in both(T0 + 9_000, 100.0):
            target.apply(event)
    ticks = prompt.advance(T0 + 10_000)
    prompt.denominate(supply(20_000.0), T0 + 12_000)
    ticks += prompt.advance(T0 + 20_000)
    late.denominate(supply(20_000.0), T0 + 12_000)
    assert orjson.dumps([tick.signals for tick in late.advance(T0 + 20_000)]) == orjson.dumps(
        [tick.signals for tick in ticks]
    )
    assert [tick.signals[0]["elr"][1]["value"] for tick in ticks] == [None, 10.0]


def test_a_base_of_a_symbol_that_is_not_scored_is_ignored() -> None:
    target = engine()
    target.denominate(Denominator("DOGE", 1.0, (), T0, "count", "free"))
    assert "DOGE" not in target.scorers


def test_bases_and_extras_are_part_of_the_state() -> None:
    for cut in (7, 94, 96, 121):
        straight, first = engine(), engine()
        for target in (straight, first):
            target.advance(T0)
            target.denominate(supply(20_000.0))
        busy(straight, T0, cut)
        busy(first, T0, cut)
        second = engine()
        second.restore(orjson.loads(orjson.dumps(first.save())))
        begin = T0 + cut * 1000
        second.advance(begin)
        expected, got = busy(straight, begin, 130), busy(second, begin, 130)
        assert orjson.dumps([tick.signals for tick in got]) == orjson.dumps([tick.signals for tick in expected])
        assert orjson.dumps(second.save()) == orjson.dumps(straight.save())
    last = got[-1].signals[0]
    assert last["windows"]["1m"]["taker"]["imbalance"] > 0
    assert last["windows"]["1m"]["liquidated"]["long_coins"] > 0
    assert [value["variant"] for value in last["elr"]][3:] == ["position_base"]
    assert last["elr"][1]["base"]["coins"] == 40_000.0
    assert [entry["venue"] for entry in last["long_short"]] == ["okx"]


def test_windows_are_ready_at_once_after_a_back_filled_past() -> None:
    """Live from an odd second on: the windows begin between back-filled minutes."""
    target = engine()
    for minute in range(-130, 1):
        for event in both(T0 + minute * 60_000, 100.0 * 1.001**minute):
            target.apply(event)
        target.backfill(T0 + minute * 60_000, silent=True)
    ticks = feed(target, T0 + 17_000, 13 + 60)
    first = ticks[1].signals[0]
    assert first["ts"] == T0 + 20_000
    assert [window["ready"] for window in first["windows"].values()] == [True, True, True]
    assert [window["backfilled"] for window in first["windows"].values()] == [True, True, True]
    assert first["backfilled_until"] == T0
    # 5m: from -280 s, at 2/3 of the way from minute -5 to minute -4 in ln price
    expected = log(100.003 / (100.0 * 1.001 ** (-5 + 1 / 3)))
    assert first["windows"]["5m"]["return"] == pytest.approx(expected, rel=1e-9)
    last = ticks[-1].signals[0]
    assert [window["backfilled"] for window in last["windows"].values()] == [False, True, True]


def test_an_implausible_trade_is_counted_as_refused() -> None:
    target = engine()
    target.advance(T0)
    feed(target, T0, 2)
    target.apply(Flow("okx", "BTCUSDT", "BTC", 1001.0, 0.0, None, T0 + 2_100))
    assert target.refused == {("okx", "implausible"): 1}


def test_a_silent_past_says_nothing_whoever_samples_it() -> None:
    """Cause: events that sampled past a tick on their own put it into words, whatever advance() had been told."""
    quiet = engine()
    for second in range(0, 35):
        for event in both(T0 + second * 1000, 100.0):
            quiet.apply(event)
    assert quiet.advance(T0 + 34_000, live=False, silent=True) == []
    for event in both(T0 + 51_000, 100.0):
        quiet.apply(event)
    assert quiet.advance(T0 + 55_000, live=False, silent=True) == []


def test_a_base_that_came_while_cold_is_unknown_to_ticks_before_it() -> None:
    """Cause: a base was applied at once while events were held back, so that earlier ticks already knew it."""
    late = engine()
    for second in range(0, 41):
        for event in both(T0 + second * 1000, 100.0):
            late.apply(event)
    late.denominate(Denominator("BTC", 19e6, (), T0, "test", "none"), T0 + 20_500)
    ticks = late.advance(T0 + 40_000)
    values = {
        tick.ts - T0: next(e["value"] for e in tick.signals[0]["elr"] if e["variant"] == "oi_mcap") for tick in ticks
    }
    assert values[10_000] is None
    assert values[20_000] is None
    assert values[30_000] is not None


def oi_mcap(tick: Tick) -> float | None:
    return next(item["value"] for item in tick.signals[0]["elr"] if item["variant"] == "oi_mcap")


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize(("at_ms", "known"), [(9_999, True), (10_000, True), (10_001, False)])
def test_a_base_belongs_to_the_tick_at_whose_very_moment_it_comes(at_ms: int, known: bool, cold: bool) -> None:
    """Both sides of the moment, live and held back while cold, and whichever of base and events at it comes first."""
    base = Denominator("BTC", 19e6, (), T0, "test", "none")
    told = []
    for base_first in (True, False):
        target = engine()
        if not cold:
            target.advance(T0)
        for second in range(1, 9):
            for event in both(T0 + second * 1000, 100.0):
                target.apply(event)
        if base_first:
            target.denominate(base, T0 + at_ms)
        for event in both(T0 + at_ms, 100.0):
            target.apply(event)
        if not base_first:
            target.denominate(base, T0 + at_ms)
        ticks = target.advance(T0 + 20_000)
        assert [tick.ts - T0 for tick in ticks] == [10_000, 20_000]
        assert [oi_mcap(tick) is not None for tick in ticks] == [known, True]
        told.append(orjson.dumps([tick.signals for tick in ticks]))
    assert told[0] == told[1]


@pytest.mark.parametrize(("at_ms", "known"), [(59_999, True), (60_000, True), (60_001, False)])
def test_a_base_and_events_belong_to_the_back_filled_minute_at_whose_end_they_come(at_ms: int, known: bool) -> None:
    """Cause guarded against: off by a millisecond, a minute knows what came after it, or not what came at its end."""
    target = engine()
    for event in both(T0, 100.0):
        target.apply(event)
    for event in both(T0 + at_ms, 101.0):
        target.apply(event)
    target.denominate(Denominator("BTC", 19e6, (), T0, "test", "none"), T0 + at_ms)
    first, second, third = (target.backfill(T0 + minute * 60_000) for minute in range(3))
    assert (first.signals[0]["market"]["price"], oi_mcap(first)) == (100.0, None)
    assert second.signals[0]["market"]["price"] == (101.0 if known else None)  # a mark is fresh for 15 s
    if known:
        assert oi_mcap(second) is not None
    assert third.signals[0]["elr"][1]["base"] is not None
    assert (second.signals[0]["elr"][1]["base"] is not None) == known


def held_up(by_ms: int) -> tuple[list[int], list[int], Engine]:
    """Data until T0 + 20 s, then nothing while the process stands still: what is sampled after, and which ticks come,
    in ms since the last sample."""
    target = engine()
    target.advance(T0)
    feed(target, T0, 20)
    begin = target.sampled_ms
    sampled = []
    sample = target.market.sample

    def noted(ts: int, step_s: int) -> Any:
        sampled.append(ts - begin)
        return sample(ts, step_s)

    target.market.sample = noted  # type: ignore[method-assign]
    ticks = target.advance(begin + by_ms)
    return sampled, [tick.ts - begin for tick in ticks], target


def test_ten_minutes_held_up_are_sampled_through() -> None:
    sampled, ticks, _ = held_up(600_000)
    assert sampled == list(range(1_000, 600_001, 1_000))
    assert ticks == list(range(10_000, 600_001, 10_000))


@pytest.mark.parametrize("by_ms", [600_001, 601_000, 3_600_000])
def test_a_longer_hold_up_is_sampled_until_all_is_stale_and_in_its_last_minute(by_ms: int) -> None:
    """Cause: every second of a night asleep would block the loop; cut short sooner, numbers still fresh would be
    followed by a leap of time, and the funding of before it would never be seen to grow old."""
    sampled, ticks, _ = held_up(by_ms)
    last = (by_ms - 60_000) // 1000 * 1000
    assert sampled == [*range(1_000, 310_001, 1_000), *range(last + 1_000, by_ms + 1, 1_000)]
    assert ticks == [ms for ms in sampled if ms % 10_000 == 0]


def test_by_the_end_of_the_first_part_of_a_hold_up_nothing_counts_as_fresh() -> None:
    """Of any venue as configured: otherwise a stream would be fresh before the leap of time and never age."""
    target = engine()
    target.advance(T0)
    feed(target, T0, 20)
    target.advance(target.sampled_ms + STALE_BY_MS)
    states = [state for view in target.samples[0].venues for _, state in view.states]
    assert states == ["STALE"] * 6
    for rule in rules_of(Config()):
        ages = (rule.mark.max_age_ms, rule.funding.max_age_ms, rule.oi.max_age_ms, rule.index_max_age_ms)
        assert max(ages) < STALE_BY_MS, rule.venue


def test_the_step_from_late_history_to_live_open_interest_is_no_change() -> None:
    """Cause: published history is minutes late; the first live value was linked to it as one minute's change."""
    warm = engine()
    for minute in range(1, 66):
        for event in both(T0 + minute * 60_000, 100.0, coins=1000.0):
            warm.apply(event)
        warm.backfill(T0 + minute * 60_000, silent=True)
    before = warm.samples[0].ln_oi_index
    begin = T0 + 65 * 60_000
    for second in range(1, 30):
        for event in both(begin + second * 1000, 100.0, coins=1100.0 + second):
            warm.apply(event)
        warm.advance(begin + second * 1000)
    assert warm.samples[0].oi_coins == 2 * 1129.0
    assert warm.samples[0].ln_oi_index - before == pytest.approx(log(1129.0 / 1101.0))


def test_bases_of_sources_that_are_no_more_are_forgotten() -> None:
    """Cause: figures removed from the operator's file stayed in use after a restart, under the file's name."""
    made = engine()
    made.denominate(Denominator("BTC", 19e6, (("bybit", 10.0),), T0, "old file", "own"))
    made.denominate(Denominator("BTC", None, (("bybit", 20.0),), T0, "DefiLlama CEX transparency", "free"))
    made.keep_denominators(["DefiLlama CEX transparency"])
    for second in range(0, 11):
        for event in both(T0 + second * 1000, 100.0):
            made.apply(event)
    elr = {item["variant"]: item for item in made.advance(T0 + 10_000)[-1].signals[0]["elr"]}
    assert elr["oi_reserve"]["base"]["coins"] == 20.0
    assert elr["oi_mcap"]["reason"] == "no_denominator"
