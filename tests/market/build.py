"""Makes markets, events and seeded histories for the tests of the market stage."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from service.config import MarketSection
from service.market import Market
from service.model import (
    Confirm,
    Consensus,
    Event,
    Funding,
    Listing,
    Mark,
    OpenInterest,
    Stream,
    StreamRule,
    VenueRules,
)

T0 = 1_763_720_520_000  # a whole UTC minute
MARK_AGE, FUNDING_AGE, OI_AGE, INDEX_AGE = 15_000, 300_000, 60_000, 20_000


def rule(venue: str, **changes: Any) -> VenueRules:
    base = VenueRules(
        venue=venue,
        exchange=venue,
        mark=StreamRule(MARK_AGE, "send"),
        funding=StreamRule(FUNDING_AGE, "change"),
        oi=StreamRule(OI_AGE, "none"),
        index_max_age_ms=INDEX_AGE,
        funding_cap_8h=0.03,
    )
    return dataclasses.replace(base, **changes)


def rules(count: int) -> list[VenueRules]:
    """Venues a, b, c, ... in configuration order."""
    return [rule(chr(ord("a") + number)) for number in range(count)]


class Driver:
    """A market of symbol BTC (and any others) with short words for events; times are ms after T0."""

    def __init__(
        self,
        venues: int | Sequence[VenueRules] = 3,
        symbols: Sequence[str] = ("BTC",),
        heard: bool = True,
        **settings: Any,
    ) -> None:
        self.rules = rules(venues) if isinstance(venues, int) else list(venues)
        self.market = Market(symbols, self.rules, MarketSection(**settings))
        for rule in self.rules if heard else ():  # each venue has answered, with something else it lists
            self.market.apply(Listing(rule.venue, "Z", "ZZZ", False, 1.0, 1.0, 8.0, True, T0))

    def mark(
        self,
        venue: str,
        mark: float | None,
        at: int,
        index: float | None = None,
        venue_at: int | None = None,
        instrument: str = "P",
    ) -> str | None:
        venue_ts = None if venue_at is None else T0 + venue_at
        return self.market.apply(Mark(venue, instrument, "BTC", mark, index, venue_ts, T0 + at))

    def oi(
        self,
        venue: str,
        contracts: float,
        at: int,
        coins_each: float = 1.0,
        venue_at: int | None = None,
        instrument: str = "P",
    ) -> str | None:
        venue_ts = None if venue_at is None else T0 + venue_at
        coins = contracts * coins_each
        event = OpenInterest(venue, instrument, "BTC", contracts, coins_each, coins, False, venue_ts, T0 + at)
        return self.market.apply(event)

    def funding(
        self,
        venue: str,
        rate: float,
        at: int,
        interval_h: float | None = 8.0,
        settled: bool = False,
        venue_at: int | None = None,
        instrument: str = "P",
    ) -> str | None:
        rate_8h = None if interval_h is None else rate * 8.0 / interval_h
        venue_ts = None if venue_at is None else T0 + venue_at
        event = Funding(venue, instrument, "BTC", rate, interval_h, rate_8h, None, settled, venue_ts, T0 + at)
        return self.market.apply(event)

    def confirm(self, venue: str, streams: tuple[Stream, ...], at: int, venue_at: int | None = None) -> str | None:
        venue_ts = None if venue_at is None else T0 + venue_at
        return self.market.apply(Confirm(venue, "P", "BTC", streams, venue_ts, T0 + at))

    def listing(self, venue: str, at: int, instrument: str = "P", **changes: Any) -> str | None:
        base = Listing(venue, instrument, "BTC", False, 1.0, 1.0, 8.0, True, T0 + at)
        return self.market.apply(replace(base, **changes))

    def both(self, venue: str, mark: float, contracts: float, at: int, instrument: str = "P") -> None:
        """A mark and an oi observation that are accepted."""
        assert self.mark(venue, mark, at, instrument=instrument) is None
        assert self.oi(venue, contracts, at, instrument=instrument) is None

    def sample(self, at: int, step_s: int = 1) -> Consensus:
        return self.market.sample(T0 + at, step_s)[0]

    def state(self, venue: str, stream: str, at: int) -> str:
        """The stream's state at a sample at ``at``."""
        view = next(view for view in self.sample(at).venues if view.venue == venue)
        return dict(view.states)[stream]  # type: ignore[index]


@dataclass(frozen=True)
class Sample:
    """Take a sample of all symbols."""

    ts: int
    step_s: int


@dataclass(frozen=True)
class Shift:
    """Re-anchor the clock."""

    delta_ms: int


Step = Event | Sample | Shift


def run(market: Market, step: Step) -> Any:
    """What the market answers to a step."""
    if isinstance(step, Sample):
        return market.sample(step.ts, step.step_s)
    if isinstance(step, Shift):
        return market.reanchor(step.delta_ms)
    return market.apply(step)


SYMBOLS = ("BTC", "ETH")
INSTRUMENTS = ("LIN", "INV")


def history(seed: int, seconds: int, venues: Sequence[str], rough: bool = True) -> Iterator[Step]:
    """A seeded history: random walks on two symbols and two instruments per venue, one linear and one inverse.

    Venues fall silent and return. ``rough`` adds outliers, unit errors, stuck marks, bad timestamps, delistings,
    changed contract sizes and clock shifts; without it every observation is plausible.
    """
    rng = random.Random(seed)
    price = {"BTC": 50_000.0, "ETH": 2_000.0}
    contracts = {
        (venue, symbol, name): rng.uniform(1.0, 1e6) for venue in venues for symbol in SYMBOLS for name in INSTRUMENTS
    }
    silent: dict[str, int] = {}
    now = T0 - T0 % 1000
    shifted = 0
    for second in range(seconds):
        for symbol in SYMBOLS:
            price[symbol] *= 1.0 + rng.gauss(0.0, 0.0008)
        for venue in venues:
            if silent.get(venue, 0) > second:
                continue
            if rng.random() < 0.01:
                silent[venue] = second + rng.randint(5, 120)
            at = now + rng.randint(1, 999)
            for symbol in SYMBOLS:
                for name in INSTRUMENTS:
                    key = (venue, symbol, name)
                    yield from _chatter(rng, key, price[symbol], contracts, at, shifted, rough)
        now += 1000
        yield Sample(now, 1)
        if rough and rng.random() < 0.005:
            delta = rng.choice((-3_600_000, -1_500, 700, 60_000))
            yield Shift(delta)
            now += round(delta / 1000) * 1000
            shifted += delta


def _chatter(
    rng: random.Random,
    key: tuple[str, str, str],
    price: float,
    contracts: dict[tuple[str, str, str], float],
    at: int,
    shifted: int,
    rough: bool,
) -> Iterator[Event]:
    venue, symbol, name = key
    venue_ts: int | None = at - rng.randint(0, 300) if not rough else at - shifted - rng.randint(-100, 300)
    bad = rough and rng.random() < 0.03
    if rough and rng.random() < 0.05:
        venue_ts = rng.choice((None, at + 3000, at - 20_000))
    if rng.random() < 0.8:
        mark: float | None = price * (1.0 + rng.gauss(0.0, 0.0003))
        if bad:
            mark = price * rng.choice((0.01, 0.97, 1.03, 100.0))
        if rough and hash_free_stuck(venue, at):
            mark = 50_000.0 if symbol == "BTC" else 2_000.0
        index = None if rng.random() < 0.3 else price * (1.0 + rng.gauss(0.0, 0.0001))
        if rng.random() < 0.1 and index is not None:
            mark = None
        yield Mark(venue, name, symbol, mark, index, venue_ts, at)
    if rng.random() < 0.25:
        contracts[key] *= 1.0 + rng.gauss(0.0, 0.01)
        if rough and rng.random() < 0.02:
            contracts[key] *= rng.choice((0.7, 1.4, 8.0, 0.1))
        amount = 0.0 if rough and rng.random() < 0.01 else contracts[key]
        each = 1.0 if name == "LIN" else 100.0 / price
        yield OpenInterest(venue, name, symbol, amount, each, amount * each, False, None, at)
    if rng.random() < 0.1:
        rate = rng.gauss(0.0001, 0.0002) * (200.0 if bad else 1.0)
        hours = rng.choice((1.0, 8.0, 8.0, None))
        rate *= 1.0 if hours is None else hours / 8.0
        rate_8h = None if hours is None else rate * 8.0 / hours
        settled = rng.random() < 0.1
        yield Funding(venue, name, symbol, rate, hours, rate_8h, None, settled, venue_ts, at)
    if rng.random() < 0.15:
        yield Confirm(venue, name, symbol, rng.choice((("mark",), ("oi", "funding"))), venue_ts, at)
    if rough and rng.random() < 0.003:
        size, trading = rng.choice(((1.0, True), (1.0, True), (10.0, True), (1.0, False)))
        yield Listing(venue, name, symbol, name == "INV", size, 1.0, 8.0, trading, at)


def hash_free_stuck(venue: str, at: int) -> bool:
    """Venue ``a`` repeats one mark for minutes on end, now and then."""
    return venue == "a" and (at // 150_000) % 3 == 0
