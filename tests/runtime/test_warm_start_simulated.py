"""A fresh service on all simulated venues, whose history it fetches itself: their own wire formats, virtual time."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from service.clock import ServiceClock
from service.config import parse
from service.core.build import rules_of
from service.core.engine import Engine
from service.model import Tick
from service.publishing import body_bytes
from service.runtime.outputs import open_outputs
from service.runtime.service import Inputs, Service
from service.simulation import MarketModel, SimulatedVenues, history
from service.venues import VENUES
from tests.core.build import replayed
from tests.runtime.starting import NOON_MS, until

pytestmark = pytest.mark.looptime(idle_step=0.05, idle_timeout=30)

HOUR_MS = 3_600_000
SYMBOLS = ("BTC", "1000PEPE")


async def test_a_fresh_start_is_warm_within_a_minute_and_replays_the_same(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    begin_s = NOON_MS / 1000 + 20 - loop.time()
    clock = ServiceClock(lambda: begin_s + loop.time(), loop.time)
    model = MarketModel(5, SYMBOLS, NOON_MS - 27 * HOUR_MS)
    for _ in history(model, NOON_MS - 27 * HOUR_MS, NOON_MS, clock.now_ms() // 1000 * 1000):
        pass
    simulated = SimulatedVenues(model, clock, random.Random(5), scheduled_outage=False)
    endpoints = await simulated.start()
    names = [name for name in VENUES if name in endpoints]
    config = parse(
        {
            "service": {"symbols": list(SYMBOLS)},
            "feed": {"port": 0},
            "venues": {name: {"enabled": name in names} for name in VENUES},
        }
    )
    ticks: list[Tick] = []
    stop = asyncio.Event()
    began_ms = clock.now_ms()
    service = Service(
        config=config,
        inputs=Inputs(
            source="simulated",
            venues={name: VENUES[name] for name in names},
            endpoints=endpoints,
            denominators=[],
            warm=True,
        ),
        engine=Engine(SYMBOLS, rules_of(config), config.market, []),
        clock=clock,
        rng=random.Random(6),
        outputs=open_outputs(tmp_path / "a.tape", tmp_path / "a.jsonl"),
    )
    service.feed.publish_tick = lambda tick, missed: ticks.append(tick)  # type: ignore[method-assign]
    task = asyncio.create_task(service.run(stop))
    try:
        await until(lambda: len(ticks) >= 4, 120)
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)
        await simulated.stop()
    assert ticks[0].ts - began_ms <= 60_000
    for tick in ticks:
        for body in tick.signals:
            assert body["status"] == "ok", body["reasons"]
            assert all(window["ready"] for window in body["windows"].values())
            assert body["market"]["oi_coverage"] == 1.0
            assert all(window["strength"] is not None for window in body["windows"].values())
    btc = ticks[-1].signals[0]
    assert btc["market"]["venues_fresh"] == len(names)
    again = [tick for _, _, due in replayed(tmp_path / "a.tape") for tick in due]
    lines = [body_bytes(body) for tick in again for body in tick.signals]
    assert b"\n".join(lines) + b"\n" == (tmp_path / "a.jsonl").read_bytes()
    markets = [tick.market for tick in ticks if tick.market is not None]
    assert [body_bytes(tick.market) for tick in again if tick.market is not None] == [body_bytes(m) for m in markets]
    assert (markets[-1]["status"], markets[-1]["symbols"]["counted"]) == ("ok", 2)
