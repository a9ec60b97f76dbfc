"""Makes samples and seeded series of them for the tests of the indicators."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import orjson

from service.indicators import SymbolIndicators
from service.model import Consensus, Readings, VenueView

T0 = 1_763_720_520_000  # a whole UTC minute, 10:22:00
SECOND, MINUTE = 1_000, 60_000
DAY_MINUTES = 1_440

VIEW = VenueView(
    venue="bybit",
    instrument="BTCUSDT",
    fresh=True,
    mark=101.5,
    index=101.25,
    rate=0.0002,
    rate_8h=0.0004,
    interval_h=4.0,
    oi_coins=900.0,
    oi_coins_last=901.0,
    age_mark_ms=110,
    age_funding_ms=None,
    age_oi_ms=330,
    states=(("mark", "LIVE"), ("funding", "STALE"), ("oi", "LIVE")),
)


def sample(ts: int, **changes: Any) -> Consensus:
    """A sample with quorum, every number distinct; without quorum price and oi_coins are None."""
    values: dict[str, Any] = {
        "symbol": "BTC",
        "ts": ts,
        "step_s": 1,
        "quorum": True,
        "price": 100.0,
        "index": 99.5,
        "funding_8h": 0.00011,
        "funding_spend": 0.22,
        "funding_spread": 0.00003,
        "funding_outlier_sign": -1,
        "oi_coins": 2000.0,
        "ln_oi_index": 0.0,
        "oi_receipts": 1,
        "full_set": True,
        "coverage": 0.97,
        "freshness": 0.88,
        "as_of": ts - 700,
        "trouble": ("stale:okx",),
        "excluded": ("okx",),
        "venues_total": 3,
        "venues": (VIEW,),
        **changes,
    }
    if not values["quorum"]:
        values.update(price=None, oi_coins=None, as_of=None, freshness=None)
    return Consensus(**values)


def venue(name: str, coins: float | None = 1000.0, **changes: Any) -> VenueView:
    """A venue of V with ``coins`` open; None: it is not in V."""
    return replace(VIEW, venue=name, oi_coins=coins, fresh=coins is not None, **changes)


def traded(name: str, buy: float, sell: float, coins: float | None = 1000.0) -> VenueView:
    return venue(name, coins, taker_buy_coins=buy, taker_sell_coins=sell)


def liquidated(name: str, long: float, short: float, coins: float | None = 1000.0) -> VenueView:
    return venue(name, coins, liquidated_long_coins=long, liquidated_short_coins=short)


class Walk:
    """A seeded market of one symbol: repeated values, zeros, negative funding, missing levels.

    ``flow``: three venues trade and liquidate now and then, and leave V.
    """

    def __init__(self, seed: int, start: int = T0, flow: bool = True) -> None:
        self.random = random.Random(seed)
        self.flow = flow
        self.ts = start
        self.price = 100.0
        self.ln_oi = 0.0
        self.flat = False

    def phase(self, kind: str, length: int) -> Iterator[Consensus]:
        """``length`` seconds of gap, live, dark (no quorum) or flat; ``minutes``: that many back-filled ones."""
        if kind == "gap":
            self.ts += length * SECOND
            return
        self.flat = kind == "flat"
        step = MINUTE if kind == "minutes" else SECOND
        if kind == "minutes":
            self.ts -= self.ts % MINUTE
        partly = self.random.random() < 0.3  # not every venue there
        for _ in range(length):
            self.ts += step
            if not self.flat:
                self.price *= math.exp(self.random.choice((0.0, self.random.gauss(0, 3e-4))))
                self.ln_oi += self.random.choice((0.0, 0.0, self.random.gauss(0, 1e-3)))
            yield self._sample(step // SECOND, quorum=kind != "dark", full_set=not partly)

    def _sample(self, step_s: int, quorum: bool, full_set: bool) -> Consensus:
        draw = self.random
        if self.flat:
            levels = {"index": 100.0, "funding_8h": 0.0001, "funding_spend": 0.0, "funding_spread": 0.0}
        else:
            levels = {
                "index": draw.choice((None, self.price, self.price * (1 + draw.gauss(0, 2e-4)))),
                "funding_8h": draw.choice((0.0, 0.0001, -0.0001, draw.gauss(5e-5, 1e-4), None)),
                "funding_spend": draw.choice((0.0, draw.gauss(0, 3.0), -0.5, None)),
                "funding_spread": draw.choice((0.0, 0.00002, abs(draw.gauss(0, 5e-5)), None)),
            }
        return sample(
            self.ts,
            step_s=step_s,
            quorum=quorum,
            price=self.price,
            oi_coins=draw.choice((1000.0, 3000.0)),
            ln_oi_index=self.ln_oi,
            oi_receipts=draw.choice((0, 0, 0, 1, 5)),
            full_set=full_set,
            venues=tuple(self._venue(name) for name in ("bybit", "okx", "gate")) if self.flow else (VIEW,),
            **levels,
        )

    def _venue(self, name: str) -> VenueView:
        draw = self.random
        coins = None if draw.random() < 0.1 else draw.choice((0.0, 400.0, 900.0, 900.0))
        trades = draw.random() < 0.2
        forced = draw.random() < 0.004
        return venue(
            name,
            coins,
            taker_buy_coins=draw.choice((0.0, draw.uniform(0, 5))) if trades else 0.0,
            taker_sell_coins=draw.choice((0.0, draw.uniform(0, 5))) if trades else 0.0,
            liquidated_long_coins=draw.choice((0.0, draw.uniform(0, 2))) if forced else 0.0,
            liquidated_short_coins=draw.choice((0.0, draw.uniform(0, 1))) if forced else 0.0,
        )


def series(seed: int, phases: Iterable[tuple[str, int]], start: int = T0) -> list[Consensus]:
    walk = Walk(seed, start)
    return [made for kind, length in phases for made in walk.phase(kind, length)]


def is_tick(item: Consensus) -> bool:
    return item.step_s == 60 or item.ts % 10_000 == 0


def run(indicators: SymbolIndicators, samples: Iterable[Consensus]) -> list[Readings]:
    """Observe all; a reading at each tick and back-filled minute."""
    readings = []
    for item in samples:
        indicators.observe(item)
        if is_tick(item):
            readings.append(indicators.read(item.ts))
    return readings


def through_json(plain: Any) -> Any:
    return orjson.loads(orjson.dumps(plain))


def reloaded(indicators: SymbolIndicators) -> SymbolIndicators:
    """Another one that goes on from here, by way of JSON text."""
    other = SymbolIndicators(indicators.symbol)
    other.load(through_json(indicators.dump()))
    return other
