"""A whole service over small venues with a published past, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.clock import ServiceClock
from service.config import Config, parse
from service.core.engine import Engine
from service.model import Tick
from service.publishing import body_bytes
from service.runtime.outputs import open_outputs
from service.runtime.service import Inputs, Service
from service.runtime.state_file import StateFile, restored
from tests.core import build
from tests.fakes.history_venue import PastServer, PastVenue

NOON_MS = 1_763_683_200_000  # a UTC minute on the tick grid
NAMES = ("bybit", "okx", "hyperliquid")


def configuration(symbols: Sequence[str] = ("BTC",), **start: Any) -> Config:
    return parse(
        {
            "service": {"symbols": list(symbols)},
            "feed": {"port": 0},
            "venues": {name: {"enabled": name in NAMES} for name in Config().venues.enabled()},
            "start": start,
            "state": {"every_s": 5.0},
            "network": {"listing_refresh_s": 60.0},
        }
    )


class World:
    """The venues' servers and the time; :meth:`service` starts a process on them."""

    def __init__(self, second: float) -> None:
        loop = asyncio.get_running_loop()
        begin_s = NOON_MS / 1000 + second - loop.time()
        self.clock = ServiceClock(lambda: begin_s + loop.time(), loop.time)
        self.venues = {name: PastVenue(name) for name in NAMES}
        self.servers = {name: PastServer(self.clock.now_ms) for name in NAMES}

    def engine(self, config: Config) -> Engine:
        return Engine(config.service.symbols, [venue.rules for venue in self.venues.values()], config.market, [])

    @asynccontextmanager
    async def service(
        self, config: Config, folder: Path, warm: bool = True, state: StateFile | None = None
    ) -> AsyncIterator[Running]:
        engine = self.engine(config)
        if state is not None:
            engine, _ = restored(state, config, lambda: self.engine(config), self.clock.now_ms())
        running = Running(self, config, engine, folder, warm, state)
        task = asyncio.create_task(running.service.run(running.stop))
        try:
            yield running
        finally:
            running.stop.set()
            await asyncio.wait_for(task, 10)


class Running:
    """A running service and what it published."""

    def __init__(
        self, world: World, config: Config, engine: Engine, folder: Path, warm: bool, state: StateFile | None
    ) -> None:
        self.engine = engine
        self.stop = asyncio.Event()
        self.began_ms = world.clock.now_ms()
        self.ticks: list[Tick] = []
        self.service = Service(
            config=config,
            inputs=Inputs(
                source="live",
                venues=world.venues,
                endpoints={name: server.endpoints for name, server in world.servers.items()},
                denominators=[],
                warm=warm,
            ),
            engine=engine,
            clock=world.clock,
            rng=random.Random(4),
            outputs=open_outputs(folder / "run.tape", folder / "run.jsonl"),
            state=state,
        )
        published = self.service.feed.publish_tick

        def noted(tick: Tick, missed: int) -> None:
            self.ticks.append(tick)
            published(tick, missed)

        self.service.feed.publish_tick = noted  # type: ignore[method-assign]

    async def tick(self, count: int = 1, within_s: float = 150.0) -> Tick:
        """The ``count``-th published tick, by virtual time within the deadline."""
        await until(lambda: len(self.ticks) >= count, within_s)
        return self.ticks[count - 1]


async def until(condition: Callable[[], bool], within_s: float) -> float:
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    while not condition():
        assert loop.time() - begin_s <= within_s, f"not within {within_s} s"
        await asyncio.sleep(0.05)
    return loop.time() - begin_s


@asynccontextmanager
async def world(second: float = 30.0) -> AsyncIterator[World]:
    made = World(second)
    async with AsyncExitStack() as stack:
        for server in made.servers.values():
            await stack.enter_async_context(server.running())
        yield made


def replayed(path: Path, patch: pytest.MonkeyPatch) -> bytes:
    """The signals of the tape, replayed with the decoders and rules of our small venues."""
    venues = {name: PastVenue(name) for name in NAMES}
    patch.setattr("service.core.replay.VENUES", venues)
    patch.setattr("service.core.replay.rules_of", lambda config: [venues[n].rules for n in config.venues.enabled()])
    return b"".join(
        body_bytes(body) + b"\n" for _, _, ticks in build.replayed(path) for t in ticks for body in t.signals
    )
