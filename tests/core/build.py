"""A small market for the tests of core and runtime: two venues, one symbol, events by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from service.config import MarketSection
from service.core.engine import Engine
from service.core.replay import Run, replay
from service.model import Event, Funding, Mark, OpenInterest, StreamRule, Tick, VenueRules
from service.tapes import Record, read

T0 = 1_763_683_200_000  # a UTC minute on the tick grid
VENUES = ("bybit", "okx")


def rules() -> list[VenueRules]:
    return [
        VenueRules(
            venue=name,
            exchange=name,
            mark=StreamRule(15_000, "none"),
            funding=StreamRule(300_000, "none"),
            oi=StreamRule(60_000, "none"),
            index_max_age_ms=15_000,
            funding_cap_8h=0.1,
        )
        for name in VENUES
    ]


def engine() -> Engine:
    return Engine(["BTC"], rules(), MarketSection(), [])


def mark(venue: str, ts: int, price: float) -> Mark:
    return Mark(venue, "BTCUSDT", "BTC", price, price, None, ts)


def both(ts: int, price: float, coins: float = 1000.0) -> list[Event]:
    """Mark, funding and OI of both venues, received at ``ts``."""
    events: list[Event] = []
    for venue in VENUES:
        events.append(mark(venue, ts, price))
        events.append(Funding(venue, "BTCUSDT", "BTC", 1e-4, 8.0, 1e-4, None, False, None, ts))
        events.append(OpenInterest(venue, "BTCUSDT", "BTC", coins, 1.0, coins, False, None, ts))
    return events


def replayed(tape: Path, told: Callable[[str], None] = print) -> Iterator[tuple[Run, Record, list[Tick]]]:
    return replay(read(tape, told), tape)
