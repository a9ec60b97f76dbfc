from __future__ import annotations

import sys
import time

import pytest

from service.config import DEFAULT_SYMBOLS
from service.model import Funding, Listing, Mark, OpenInterest
from service.simulation.backfill import history
from service.simulation.market import HOUR_MS, MarketModel
from tests.simulation.build import START_MS, SYMBOLS

COARSE_END_MS = START_MS + 5 * 60_000
END_MS = COARSE_END_MS + 30_000


def steps() -> list[tuple[int, int, list[object]]]:
    return [
        (ts, step, list(events))
        for ts, step, events in history(MarketModel(5, SYMBOLS, START_MS), START_MS, COARSE_END_MS, END_MS)
    ]


def test_minutes_then_seconds_without_gap() -> None:
    grid = [(ts, step_s) for ts, step_s, _ in steps()]
    minutes = [(START_MS + minute * 60_000, 60) for minute in range(1, 6)]
    assert grid == minutes + [(COARSE_END_MS + second * 1000, 1) for second in range(1, 31)]


def test_every_event_is_received_at_its_step_and_listings_come_first() -> None:
    all_steps = steps()
    for ts, _, events in all_steps:
        assert {event.recv_ts for event in events} == {ts}
    kinds = [type(event) for event in all_steps[0][2]]
    instruments = kinds.count(Listing)
    assert kinds[:instruments] == [Listing] * instruments
    assert instruments == len(MarketModel(5, SYMBOLS, START_MS).quotes())
    assert not any(isinstance(event, Listing) for _, _, events in all_steps[1:] for event in events)


def test_each_minute_has_all_streams_of_all_instruments_and_seconds_the_venues_pace() -> None:
    all_steps = steps()
    instruments = len(MarketModel(5, SYMBOLS, START_MS).quotes())
    for _, step_s, events in all_steps:
        counts = [sum(isinstance(event, kind) for event in events) for kind in (Mark, Funding, OpenInterest)]
        if step_s == 60:
            assert counts == [instruments] * 3
        else:
            assert counts[0] == instruments
    seconds = [events for _, step_s, events in all_steps if step_s == 1]
    okx = [
        sum(isinstance(event, OpenInterest) and event.instrument == "BTC-USDT-SWAP" for event in events)
        for events in seconds
    ]
    assert sum(okx) == 6
    rates = [
        event for events in seconds for event in events if isinstance(event, Funding) and event.instrument == "BTC"
    ]
    assert len(rates) == 3
    assert all(event.interval_h == 1.0 and event.rate_8h == pytest.approx(event.rate * 8) for event in rates)


def test_a_second_call_goes_on_where_the_first_ended() -> None:
    model = MarketModel(5, SYMBOLS, START_MS)
    first = [ts for ts, _, _ in history(model, START_MS, COARSE_END_MS, END_MS)]
    again = [ts for ts, _, _ in history(model, END_MS, END_MS, END_MS + 3000)]
    assert first[-1] == END_MS
    assert again == [END_MS + 1000, END_MS + 2000, END_MS + 3000]
    assert model.staged_ms == END_MS
    with pytest.raises(ValueError, match="after"):
        next(history(model, END_MS, END_MS, END_MS + 9000))


def test_two_runs_are_equal() -> None:
    assert steps() == steps()


def test_a_warm_start_takes_seconds() -> None:
    begin = time.process_time()
    end = START_MS + 26 * HOUR_MS
    model = MarketModel(5, DEFAULT_SYMBOLS, START_MS)
    events = sum(len(events) for _, _, events in history(model, START_MS, end - HOUR_MS, end))
    assert events > 700_000
    if sys.gettrace() is None:  # `make coverage` traces every line, which makes it several times as long
        assert time.process_time() - begin < 40.0  # 3 s, on a slow and busy machine up to 13
