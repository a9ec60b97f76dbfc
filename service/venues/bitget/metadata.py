"""Bitget: product lines, instruments (v2 `contracts`, v3 `instruments`), funding intervals."""

from __future__ import annotations

from typing import Any

from service.model import Listing
from service.venues.contract import Catalog
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS, measure_interval
from service.venues.numbers import interval_hours, text
from service.venues.reading import label
from service.venues.symbols import USD_QUOTES, base_of, canonical, why_foreign

PRODUCTS = ("USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES")
QUOTES = {"USDT-FUTURES": ("USDT",), "COIN-FUTURES": ("USD",), "USDC-FUTURES": ("PERP", "USDC")}  # name endings
INTERVALS_H = (1, 2, 4, 8)
# `symbolType` of v3 rows: a kind we do not know is left out.
COINS = ("", "crypto", "perpetual")
NOT_COINS = ("stock", "stocks", "metal", "metals", "commodity", "forex", "fx", "index", "etf", "rwa")
SLACK_MS = 600_000  # a next funding this long past, or this much beyond its interval: the schedule is broken


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
    emit.instrument(text(row["symbol"]), row, lambda name, row: _terms(name, row, emit), _trades)


def _trades(row: dict[str, Any]) -> bool:
    """Neither `listed` (before its launch: terms may be empty), nor in maintenance, restricted or off."""
    return label(row["status" if "status" in row else "symbolStatus"], "symbolStatus") in ("normal", "online")


def _terms(name: str, row: dict[str, Any], emit: Emit) -> Listing | str:
    """Tokenised stocks and metals (`isRwa`) are no coins; v3 says the kind of thing in `symbolType`, v2 whether it is
    perpetual."""
    modern = "type" in row
    currency = label(row["quoteCoin"], "quoteCoin")
    term = label(row["type" if modern else "symbolType"], "symbolType")
    if term != "perpetual":
        return "dated" if term == "delivery" else "unknown_kind"
    if label(row.get("isRwa", "NO"), "isRwa") == "YES":
        return "not_crypto"
    kind = label(row.get("symbolType", ""), "symbolType") if modern else ""
    if kind not in COINS:
        return "not_crypto" if kind in NOT_COINS else "unknown_kind"
    if currency not in USD_QUOTES or product_of(name) is None:
        return why_foreign(name)
    symbol, multiplier = canonical(text(row["baseCoin"]))
    inverse, trading = currency == "USD", _trades(row)
    size = None if inverse else multiplier  # coin-margined contracts are counted in coins, not in dollars
    interval_h = said_interval(emit.catalog, name, row["fundInterval"])
    return Listing(emit.venue, name, symbol, inverse, size, multiplier, interval_h, trading, emit.recv_ts)


def said_interval(catalog: Catalog, name: str, raw: Any) -> float | None:
    """The venue says the interval, "" for none: newer than what a rollover measured, if it is a change."""
    before = catalog.intervals_h.get(name)
    catalog.intervals_h[name] = None  # unless it is readable
    interval_h = None if raw == "" else interval_hours(raw)
    catalog.intervals_h[name] = interval_h
    if interval_h != before or catalog.measured_h.get(name, interval_h) is None:
        catalog.measured_h.pop(name, None)
    return interval_h


def interval_at(catalog: Catalog, name: str, next_ts: int, venue_ts: int) -> float | None:
    """The interval of the metadata, unless the schedule itself says something newer.

    A next funding further away than the interval leaves it in doubt.
    """
    measure_interval(catalog, name, next_ts, venue_ts, INTERVALS_H)
    interval_h = catalog.measured_h.get(name, catalog.intervals_h.get(name))
    if interval_h is not None and next_ts - venue_ts > interval_h * HOUR_MS + SLACK_MS:
        return None
    return interval_h
