"""Short ways to write events and samples in the checker's own tests."""

from __future__ import annotations

import math
from typing import Any

from service.config import MarketSection
from service.model import (
    Confirm,
    Event,
    Flow,
    Funding,
    Liquidation,
    Listing,
    LongShort,
    LongShortKind,
    Mark,
    OiSides,
    OpenInterest,
    Positions,
    PositionSide,
    Stream,
    StreamRule,
    VenueRules,
)

from .consensus import Sample
from .streams import Market

T0 = 1_767_614_400_000  # 2026-01-05 12:00:00 UTC, a whole hour
S = 1000


def rules(venue: str, exchange: str = "") -> VenueRules:
    return VenueRules(
        venue,
        exchange or f"{venue}-exchange",
        mark=StreamRule(15_000, "send"),
        funding=StreamRule(300_000, "change"),
        oi=StreamRule(60_000, "none"),
        index_max_age_ms=20_000,
        funding_cap_8h=0.01,
    )


def market(*venues: str, min_venues: int = 2) -> Market:
    return Market(["BTC"], [rules(venue) for venue in venues], MarketSection(min_venues=min_venues))


def mark(
    venue: str, value: float | None, at: int, index: float | None = None, stamp: int | None = None, name: str = "P"
) -> Event:
    return Mark(venue, name, "BTC", value, index, stamp, at)


def oi(venue: str, contracts: float, at: int, size: float = 1.0, name: str = "P", derived: bool = False) -> Event:
    return OpenInterest(venue, name, "BTC", contracts, size, contracts * size, derived, None, at)


def funding(venue: str, rate_8h: float | None, at: int) -> Event:
    interval_h = None if rate_8h is None else 8.0
    return Funding(venue, "P", "BTC", rate_8h or 0.0, interval_h, rate_8h, None, False, None, at)


def confirm(venue: str, streams: tuple[Stream, ...], at: int, stamp: int | None = None) -> Event:
    return Confirm(venue, "P", "BTC", streams, stamp, at)


def listing(
    venue: str, at: int, size: float = 1.0, trading: bool = True, name: str = "P", inverse: bool = False
) -> Event:
    return Listing(venue, name, "BTC", inverse, size, 1.0, 8.0, trading, at)


def flow(venue: str, buy: float, sell: float, at: int, stamp: int | None = None, name: str = "P") -> Event:
    return Flow(venue, name, "BTC", buy, sell, stamp, at)


def liquidation(
    venue: str, side: PositionSide, coins: float, at: int, stamp: int | None = None, name: str = "P"
) -> Event:
    return Liquidation(venue, name, "BTC", side, coins, 100.0, True, stamp, at)


def sides(venue: str, counted: int | None, at: int) -> Event:
    ratio = 1.5 if counted is None else float(counted)
    return OiSides(venue, counted, ratio, 9, 1.0, at)


def positions(venue: str, longs: float, shorts: float, at: int, stamp: int | None = None, name: str = "P") -> Event:
    return Positions(venue, name, "BTC", longs, shorts, stamp, at)


def long_short(
    venue: str, kind: LongShortKind, share: float, at: int, stamp: int | None = None, name: str = "P"
) -> Event:
    return LongShort(venue, name, "BTC", kind, share, stamp, at)


def sample(ts: int, price: float = 100.0, ln_oi_index: float = 0.0, step_s: int = 1, **changes: Any) -> Sample:
    """A quorum sample of one venue; ``quorum=False`` empties it as the consensus would."""
    values: dict[str, Any] = {
        "ts": ts,
        "step_s": step_s,
        "quorum": True,
        "price": price,
        "index": 100.0,
        "funding_8h": 1e-4,
        "funding_spend": 1e-3,
        "funding_spread": None,
        "outlier_sign": 0,
        "oi_coins": 10.0 * math.exp(ln_oi_index),
        "ln_oi_index": ln_oi_index,
        "oi_receipts": 1,
        "full_set": True,
        "coverage": 1.0,
        "freshness": 1.0,
        "as_of": ts,
        "trouble": [],
        "venues_total": 1,
        "fresh_oi": {"a": 10.0 * math.exp(ln_oi_index)},
        "rates": {"a": 1e-4},
        "last_oi": {"a": 10.0 * math.exp(ln_oi_index)},
        "counted": {},
    }
    if changes.get("quorum") is False:
        names = ("price", "index", "funding_8h", "funding_spend", "funding_spread", "oi_coins", "freshness", "as_of")
        values |= dict.fromkeys(names) | {"fresh_oi": {}, "rates": {}, "full_set": False, "coverage": 0.0}
    return Sample(**(values | changes))
