"""The pure line: what a tick may see, whatever the timers do; exact save and restore; shifts that change no age."""

from __future__ import annotations

import orjson
import pytest

from service.model import Tick
from service.wiring.engine import Engine
from tests.wiring.build import T0, both, engine, mark


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
