"""The garbage collector leaves the state alone."""

from __future__ import annotations

import asyncio
import gc

from bench.market import events, warm_engine
from service.cli.running import run_until_stopped


def test_seconds_of_a_market_set_off_no_collection() -> None:
    """Cause: every few seconds a full collection walked through the state of all symbols and held up the loop."""
    before, collections = gc.get_threshold(), []
    engine, ts, rng = warm_engine(40, 5, 5)

    async def main(stop: asyncio.Event) -> None:
        gc.callbacks.append(lambda phase, info: collections.append(info["generation"]))
        now = ts
        for _ in range(20):
            now += 1_000
            for event in events(engine.symbols, engine.market.symbols["S0000"].venues, now, rng):
                engine.apply(event)
            engine.advance(now)

    try:
        gc.collect()
        run_until_stopped(main)
    finally:
        gc.callbacks.pop()
        gc.set_threshold(*before)
    assert collections == []
