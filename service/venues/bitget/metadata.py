"""Bitget: product lines, instruments (v2 `contracts`, v3 `instruments`), funding intervals."""

from __future__ import annotations

from typing import Any

from service.model import Listing
from service.venues.contract import Catalog
from service.venues.emit import Emit
from service.venues.funding_schedule import restated, running_interval
from service.venues.numbers import interval_hours, text
from service.venues.reading import label
from service.venues.symbols import USD_QUOTES, base_of, canonical

PRODUCTS = ("USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES")
QUOTES = {"USDT-FUTURES": ("USDT",), "COIN-FUTURES": ("USD",), "USDC-FUTURES": ("PERP", "USDC")}  # name endings
INTERVALS_H = (1, 2, 4, 8)
SLACK_MS = 600_000  # a next funding this long past: the schedule is broken


def product_of(name: str) -> str | None:
    """The product line a perpetual's name belongs to; None: not the name of a perpetual.

    >>> product_of("BTCUSDT"), product_of("BTCUSD"), product_of("BTCPERP"), product_of("BTCUSDZ25")
    ('USDT-FUTURES', 'COIN-FUTURES', 'USDC-FUTURES', None)
    """
    return next((product for product in PRODUCTS if base_of(name, QUOTES[product]) is not None), None)


def by_name(name: str) -> Listing | None:
    """BTCUSDT and BTCPERP (USDC) are linear, BTCUSD is inverse; BTCUSDZ25 and BTCUSD_251226 are dated."""
    product = product_of(name)
    base = None if product is None else base_of(name, QUOTES[product])
    if base is None:
        return None
    symbol, multiplier = canonical(base)
    inverse = product == "COIN-FUTURES"
    return Listing("bitget", name, symbol, inverse, None if inverse else multiplier, multiplier, None, True, 0)


def read_instrument(row: dict[str, Any], emit: Emit) -> None:
    """Tokenised stocks and metals (`isRwa`) are foreign."""
    name = text(row["symbol"])
    kind = label(row["type" if "type" in row else "symbolType"], "symbolType")
    currency = label(row["quoteCoin"], "quoteCoin")
    real_world = label(row.get("isRwa", "NO"), "isRwa") == "YES"
    if kind != "perpetual" or currency not in USD_QUOTES or real_world or product_of(name) is None:
        emit.refuse(name)
        return
    symbol, multiplier = canonical(text(row["baseCoin"]))
    inverse = currency == "USD"
    trading = label(row["status" if "status" in row else "symbolStatus"], "symbolStatus") in ("normal", "online")
    size = None if inverse else multiplier  # coin-margined contracts are counted in coins, not in dollars
    interval_h = said_interval(emit.catalog, name, row["fundInterval"])
    emit.listed(Listing(emit.venue, name, symbol, inverse, size, multiplier, interval_h, trading, emit.recv_ts))


def said_interval(catalog: Catalog, name: str, raw: Any) -> float | None:
    """The venue says the interval, "" for none."""
    before = catalog.intervals_h.get(name)
    catalog.intervals_h[name] = None  # unless it is readable
    interval_h = None if raw == "" else interval_hours(raw)
    catalog.intervals_h[name] = interval_h
    restated(catalog, name, before, interval_h)
    return interval_h


def interval_at(catalog: Catalog, name: str, next_ts: int, venue_ts: int) -> float | None:
    """The interval as measured at the last rollover, else as the metadata says."""
    return running_interval(catalog, name, catalog.intervals_h.get(name), next_ts, venue_ts, INTERVALS_H)
