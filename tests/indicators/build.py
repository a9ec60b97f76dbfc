"""Makes samples and seeded series of them for the tests of the indicators."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
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


class Walk:
    """A seeded market of one symbol: repeated values, zeros, negative funding, missing levels."""

    def __init__(self, seed: int, start: int = T0) -> None:
        self.random = random.Random(seed)
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
            **levels,
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
