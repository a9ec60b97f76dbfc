"""A month of published history, entered into the engine and by the checker: every number of the ticks after it."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from msgspec.structs import replace

from service.core.engine import Engine
from service.model import Past
from tests.core.build import T0, VENUES, rules
from tests.core.test_month import BASE, HOUR, MINUTE, WARM_H, based, events, hours

from .recompute import Checker, compare

WHOLE = hours(-31 * 24)
PASTS = {
    "whole": WHOLE,
    "rates of the second week alone": tuple(
        row if 7 * 24 <= at < 14 * 24 else row._replace(funding_8h=None, spread=None) for at, row in enumerate(WHOLE)
    ),
    "two days missing, and every fifth hour of a third": tuple(
        row for at, row in enumerate(WHOLE) if not 300 <= at < 348 and not (400 <= at < 424 and at % 5 == 0)
    ),
    "ends five hours ago, and one of its last hours is wrong": tuple(
        row._replace(ln_oi=row.ln_oi + 3.0) if at == len(WHOLE) - 9 else row for at, row in enumerate(WHOLE[:-5])
    ),
    "no hour in common": tuple(row for row in WHOLE if row.ts < T0 - WARM_H * HOUR),
    "younger than what is known": hours(-20),
}


@pytest.fixture(scope="module")
def warmed() -> tuple[Engine, Checker]:
    engine = based()
    checker = Checker(["BTC"], rules(), engine.market_settings, [BASE])
    for minute in range(-WARM_H * 60, 1):
        ts = T0 + minute * MINUTE
        for event in events(minute):
            checker.apply(event, filling=True)
        checker.sample(ts, 60)
        checker.tick(ts, backfill=True)
        engine.backfill(ts, silent=True, events=events(minute))
    return engine, checker


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("name", PASTS)
def test_a_filled_month_is_what_the_documents_say(warmed: tuple[Engine, Checker], name: str, restored: bool) -> None:
    first, checker = warmed[0], deepcopy(warmed[1])
    engine = based()
    engine.restore(json.loads(json.dumps(first.save())), filling=True)
    engine.advance(T0)
    past = Past("BTC", PASTS[name], VENUES)
    for second in range(1, 121):
        ts = T0 + second * 1_000
        for event in [replace(event, recv_ts=ts) for event in events(0)]:
            checker.apply(event)
            engine.apply(event)
        checker.sample(ts, 1)
        expected = checker.tick(ts) if ts % 10_000 == 0 else {}
        for tick in engine.advance(ts):
            assert compare(expected, {body["symbol"]: body for body in tick.signals}) == []
        if second == 25:
            checker.fill(past)
            engine.fill(past, ts + 500)
        if second == 60 and restored:
            saved = json.loads(json.dumps(engine.save()))
            engine = based()
            engine.restore(saved)
    [body] = tick.signals
    assert (body["month"] is None) == (name == "no hour in common")
    if name == "whole":
        assert (body["provisional"], body["elr"][0]["ma"]["30d"] is None) == (False, False)
