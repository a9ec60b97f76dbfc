"""A market of any size for the tick benchmark: plain events, no wire format."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from service.config import Config
from service.core.build import rules_of
from service.core.engine import Engine
from service.model import Event, Funding, Mark, OpenInterest

START_MS = 1_763_683_200_000  # a UTC minute


def symbols(count: int) -> tuple[str, ...]:
    return tuple(f"S{number:04d}" for number in range(count))


def events(names: Sequence[str], venues: Sequence[str], ts: int, rng: random.Random) -> Iterator[Event]:
    for name in names:
        price = 100.0 * (1 + 0.001 * rng.random())
        for venue in venues:
            yield Mark(venue, name, name, price * (1 + 1e-4 * rng.random()), price, ts, ts)
            yield Funding(venue, name, name, 1e-4 * rng.random(), 8.0, 1e-4 * rng.random(), None, False, ts, ts)
            coins = 1e6 * (1 + 0.01 * rng.random())
            yield OpenInterest(venue, name, name, coins, 1.0, coins, False, ts, ts)


def warm_engine(count: int, minutes: int = 90, seconds: int = 120) -> tuple[Engine, int, random.Random]:
    """An engine with ``minutes`` back-filled and ``seconds`` at 1 Hz; returns it, its time, and the generator."""
    config = Config()
    names = symbols(count)
    engine = Engine(names, rules_of(config), config.market, [])
    venues = config.venues.enabled()
    rng = random.Random(1)
    ts = START_MS
    for _ in range(minutes):
        ts += 60_000
        for event in events(names, venues, ts, rng):
            engine.apply(event)
        engine.backfill(ts)
    for _ in range(seconds):
        ts += 1000
        for event in events(names, venues, ts, rng):
            engine.apply(event)
        engine.advance(ts)
    return engine, ts, rng
