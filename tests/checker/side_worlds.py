"""Seeded markets in which venues count one side or two, measure it, change it, and step. Everything is invented."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from service.model import Event, Flow, Listing, Mark, OiFigure, OiSides, OpenInterest, StreamRule, VenueRules

from .making import T0, S

SYMBOLS = ("BTC", "ETH", "SOL")
VENUES = ("one", "two", "three", "four")  # "two" and "four" have a figure of two sides
PRICES = {"BTC": 100.0, "ETH": 10.0, "SOL": 1.0}
SIZES = {"one": 1.0, "two": 0.01, "three": 0.1, "four": 0.001}


def rules() -> list[VenueRules]:
    made = [
        VenueRules(
            venue,
            venue,
            mark=StreamRule(15_000, "none"),
            funding=StreamRule(300_000, "none"),
            oi=StreamRule(20_000, "none"),
            index_max_age_ms=20_000,
            funding_cap_8h=0.01,
        )
        for venue in VENUES
    ]
    two = OiFigure("both", 2, "invented", "documented")
    return [replace(rule, oi_figure=two) if rule.venue in ("two", "four") else rule for rule in made]


@dataclass
class Instrument:
    venue: str
    name: str
    symbol: str
    contracts: float
    silent_until: int = 0

    def key(self) -> tuple[str, str, str]:
        return self.venue, self.name, self.symbol


class SideWorld:
    """One event row per second. What goes on at a venue is drawn anew every few minutes (see :meth:`moods`)."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.instruments = [
            Instrument(venue, f"{symbol}{i}", symbol, 1_000_000.0 * self.random.uniform(0.5, 2.0) // 1)
            for venue in VENUES
            for symbol in SYMBOLS
            for i in range(2 if venue == "two" and symbol != "SOL" else 1)
        ]
        self.counts = dict.fromkeys(VENUES, 1.0)  # by what the venue's figure is off from what it should be
        self.response = dict.fromkeys(VENUES, 1.0)  # by how much a trade moves it
        self.hushed = dict.fromkeys(VENUES, 0)  # until then nothing else is drawn for the venue
        self.delisted: list[Instrument] = []

    def seconds(self, count: int) -> Iterator[tuple[int, list[Event]]]:
        for second in range(count):
            ts = T0 + second * S
            events: list[Event] = []
            if second == 0:
                events += [Listing(*one.key(), False, SIZES[one.venue], 1.0, 8.0, True, ts) for one in self.instruments]
            for venue in VENUES:
                if self.random.random() < 0.012 and second >= self.hushed[venue]:
                    events += self.mood(venue, second, ts)
            for one in self.instruments:
                events += self.speak(one, second, ts)
            yield ts, events

    def mood(self, venue: str, second: int, ts: int) -> list[Event]:
        """Something that bears on the venue's sides."""
        rng = self.random
        kind = rng.choice(("measured", "measured", "step", "step", "back", "response", "response", "hush", "list"))
        if kind == "measured":
            counted = rng.choice((1, 2, 2, None)) if venue in ("two", "four") else rng.choice((1, 1, 2, None))
            return [OiSides(venue, counted, 1.5, rng.choice((3, 9)), 1.0, ts)]
        if kind in ("step", "back"):
            if kind == "step":
                self.counts[venue] *= rng.choice((2.0, 0.5, 1.97, 1.95, 0.495, 3.0))
            else:
                self.counts[venue] = 1.0
            self.hushed[venue] = second + 100  # a step lasts: until it is released
            spared = rng.choice((0, 0, 1))
            for one in [other for other in self.instruments if other.venue == venue][spared:]:
                one.contracts = self.level(one)
        elif kind == "response":
            self.response[venue] = rng.choice((1.0, 1.0, 2.0, 2.0, 0.5, 0.7))
            self.hushed[venue] = second + rng.choice((50, 400))
        elif kind == "hush":
            one = rng.choice([other for other in self.instruments if other.venue == venue])
            one.silent_until = second + rng.choice((15, 40))
        else:
            one = rng.choice([other for other in self.instruments if other.venue == venue])
            size = SIZES[venue] * rng.choice((1.0, 10.0))
            return [Listing(*one.key(), False, size, 1.0, 8.0, True, ts)]
        return []

    def level(self, one: Instrument) -> float:
        base = {"BTC": 1_200_000.0, "ETH": 900_000.0, "SOL": 700_000.0}[one.symbol]
        return base * self.counts[one.venue] // 1

    def speak(self, one: Instrument, second: int, ts: int) -> list[Event]:
        rng, made = self.random, list[Event]()
        price = PRICES[one.symbol]
        if rng.random() < 0.5:
            made.append(Mark(*one.key(), price * rng.uniform(0.999, 1.001), price, None, ts))
        if second < one.silent_until:
            return made
        phase = second % 6
        if phase in (2, 5):  # open interest, twice in six seconds; trades come in one half only
            made.append(OpenInterest(*one.key(), one.contracts, self.size(one), self.coins(one), False, None, ts))
        if phase == 3:
            for _ in range(rng.choice((0, 1, 1, 1, 1, 2))):
                size = float(rng.randint(1, 40))
                both = rng.random() < 0.03
                moved = rng.choice((1.0, 1.0, 1.0, 1.0, 0.0, -1.0, rng.uniform(-1.0, 1.0)))
                one.contracts += size * self.response[one.venue] * moved
                coins = size * self.size(one)
                made.append(Flow(*one.key(), coins, 1.0 if both else 0.0, None, ts))
        return made

    def size(self, one: Instrument) -> float:
        return SIZES[one.venue]

    def coins(self, one: Instrument) -> float:
        return one.contracts * self.size(one)
