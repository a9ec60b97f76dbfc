"""A whole service on a day and some hours of a made-up market, driven by hand; its feed listens on a real socket.

Part of its record is of a longer past, in which hits and misses come in rows: three hours are too short for that to
count, and for intervals by weeks (docs/scoreboard.md)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path

from service.clock import ServiceClock
from service.config import Config, ScoreboardSection, parse
from service.core.build import endpoints_of, rules_of
from service.core.engine import Engine
from service.deleveraging import packaged
from service.model import Denominator, Event, Funding, Mark, OpenInterest
from service.runtime.outputs import open_outputs
from service.runtime.service import Inputs, Service
from service.scoreboard import EVENTS, Fall, Outcome, Scoreboard
from service.scoreboard.falls import hits_of
from service.venues import VENUES
from tests.core.build import T0
from tests.runtime.test_service import Hands

SYMBOLS = ("BTC", "ETH")
ON = ("bybit", "okx")
PAST_MINUTES = 26 * 60
LIVE_S = 3 * 3600 + 600
HOLD_UP_S = 200.0  # longer than an outcome may be late: some are lost

OLDER = {("BTC", "1m"): 500, ("ETH", "1m"): 250, ("BTC", "5m"): 300}  # outcomes of the longer past
OLDER_WEEKS = 60  # of hourly probabilities


def outcomes(symbol: str, horizon: str, count: int, seed: int) -> Iterator[Outcome]:
    """ScoreboardOutput that stay and returns that trend."""
    rng = random.Random(seed)
    score = ret = 0.0
    for number in range(count):
        score = 0.95 * score + sqrt(1 - 0.95**2) * rng.gauss(0, 0.1)
        ret = 0.7 * ret + sqrt(1 - 0.7**2) * rng.gauss(0, 0.01)
        at = T0 - (count - number) * 3_600_000
        side, hit = ("long" if score > 0 else "short"), (score > 0) == (ret > 0)
        yield Outcome(
            symbol, horizon, at - 60_000, at, score, side, 0.5 + 0.1 * rng.random(), 1.0, 1.0, ret, hit, True, True
        )


def falls(symbol: str, weeks: int, seed: int) -> Iterator[Fall]:
    """Hourly probabilities that know something of the falls of open interest, and every event now and then."""
    rng, model = random.Random(seed), packaged()
    for number in range(weeks * 168):
        ts = T0 - (weeks * 168 + 24 - number) * 3_600_000
        volatility = 0.03 * (1 + 0.5 * rng.random())
        alone_5, alone_10 = model.volatility_alone(volatility)
        oi_5, oi_10 = model.probabilities(rng.random(), volatility)
        fell = -0.2 if (luck := rng.random()) < 1.2 * oi_10 else -0.07 if luck < 1.1 * oi_5 else -0.01
        came = (volatility, model.volatility_bin(volatility), fell, *hits_of(fell))
        at = ts + 24 * 3_600_000
        yield Fall(symbol, None, ts, at, oi_5, oi_10, *model.base_rates, alone_5, alone_10, *came)
        if number % 10 == 0:
            event = EVENTS[number // 10 % len(EVENTS)]
            yield Fall(symbol, event, ts, at, None, None, None, None, alone_5, alone_10, *came)


def remember(board: Scoreboard) -> None:
    for seed, ((symbol, horizon), count) in enumerate(OLDER.items(), 6):
        for outcome in outcomes(symbol, horizon, count, seed):
            board.tally(symbol, horizon).enter(outcome)
    for seed, symbol in enumerate(SYMBOLS):
        for fall in falls(symbol, OLDER_WEEKS, seed):
            board.told(fall)


class Coins:
    """Prices and open interest that trend for a while, then otherwise: every window has something to say."""

    def __init__(self, symbols: Sequence[str], seed: int) -> None:
        self._rng = random.Random(seed)
        self._walks = {symbol: self._walk() for symbol in symbols}

    def _walk(self) -> Iterator[tuple[float, float]]:
        price, coins = 100.0, 1000.0
        while True:
            drift, build = self._rng.choice([-1, 1]) * 2e-5, self._rng.choice([-1, 1]) * 2e-5
            for _ in range(self._rng.randrange(300, 3000)):
                price *= 1 + drift + self._rng.gauss(0, 1e-4)
                coins *= 1 + build + self._rng.gauss(0, 1e-4)
                yield price, coins

    def events(self, ts: int) -> Iterator[Event]:
        for symbol, walk in self._walks.items():
            price, coins = next(walk)
            rate = 1e-4 * (1 + 0.2 * self._rng.random())
            for venue in ON:
                yield Mark(venue, symbol, symbol, price, price * 0.9999, None, ts)
                yield Funding(venue, symbol, symbol, rate, 8.0, rate, None, False, None, ts)
                yield OpenInterest(venue, symbol, symbol, coins, 1.0, coins, False, None, ts)


class Market:
    """The service after :data:`LIVE_S` seconds that were published, and the hand that drives it on.

    ``ledger``: the folder of its ledger.
    """

    def __init__(self, ledger: Path) -> None:
        self.hands = Hands()
        self.coins = Coins(SYMBOLS, 5)
        self.config: Config = parse(
            {
                "service": {"symbols": list(SYMBOLS)},
                "feed": {"port": 0},
                "market": {"min_venues": 2},
                "venues": {name: {"enabled": name in ON} for name in VENUES},
            }
        )
        clock = ServiceClock(lambda: self.hands.wall_s, lambda: self.hands.elapsed_s)
        bases = [
            Denominator(symbol, 100_000.0, tuple((name, 2_000.0) for name in ON), T0 - 3_600_000, "file", "own")
            for symbol in SYMBOLS
        ]
        model = replace(packaged(), least_rank_h=24)  # the past of this market is a day long, and no week
        engine = Engine(SYMBOLS, rules_of(self.config), self.config.market, bases, deleveraging=model)
        for minute in range(-PAST_MINUTES, 1):
            for event in self.coins.events(T0 + minute * 60_000):
                engine.apply(event)
            engine.backfill(T0 + minute * 60_000, silent=True)
        self.service = Service(
            config=self.config,
            inputs=Inputs(
                source="simulated",
                venues={name: VENUES[name] for name in ON},
                endpoints=endpoints_of(self.config),
                denominators=bases,
            ),
            engine=engine,
            clock=clock,
            rng=random.Random(1),
            outputs=open_outputs(None, None, ScoreboardSection(folder=str(ledger))),
        )
        remember(engine.scoreboard)
        self.drive(4_200)
        self.hands.run(HOLD_UP_S)
        self.drive(LIVE_S - 4_200)

    def drive(self, seconds: int) -> None:
        for _ in range(seconds):
            self.hands.run(0.5)
            for event in self.coins.events(self.service._clock.now_ms()):
                self.service._engine.apply(event)
            self.hands.run(0.5)
            self.service._pulse()
