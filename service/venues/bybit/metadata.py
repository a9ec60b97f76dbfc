"""Bybit: instruments (`instruments-info`)."""

from __future__ import annotations

from typing import Any

from service.model import Listing
from service.venues.emit import Emit
from service.venues.numbers import interval_hours, number, text
from service.venues.reading import label
from service.venues.symbols import USD_QUOTES, base_of, canonical, why_foreign

KINDS = {"LinearPerpetual": False, "InversePerpetual": True}
INTERVALS_H = (1, 2, 4, 8)
SIDES = "sides:"  # context of the tickers in which two figures of open interest are compared
SIDES_DOCUMENTED = 2  # of `openInterest`
# `symbolType`: coins, and what may have a coin's ticker without being one. A kind we do not know is left out.
COINS = ("", "innovation")
NOT_COINS = ("stock", "xstocks", "mstocks", "etf", "commodity", "forex")


def by_name(name: str) -> Listing | None:
    """BTCUSDT and BTCPERP (USDC) are linear, BTCUSD is inverse; a dash marks dated contracts and options."""
    inverse = name.endswith("USD")
    base = None if "-" in name else base_of(name, ("USD",) if inverse else ("USDT", "PERP"))
    if base is None:
        return None
    symbol, multiplier = canonical(base)
    size = 1.0 if inverse else multiplier
    return Listing("bybit", name, symbol, inverse, size, multiplier, None, True, 0)


def read_instrument(row: dict[str, Any], emit: Emit) -> None:
    emit.instrument(text(row["symbol"]), row, lambda name, row: _terms(name, row, emit), _trades)


def _trades(row: dict[str, Any]) -> bool:
    """Neither before its launch (terms may be empty or 0) nor being settled, delivered or closed."""
    return label(row["status"], "status") == "Trading"


def _terms(name: str, row: dict[str, Any], emit: Emit) -> Listing | str:
    inverse = KINDS.get(label(row["contractType"], "contractType"))
    if inverse is None or label(row["quoteCoin"], "quoteCoin") not in USD_QUOTES:
        return why_foreign(name)
    kind = label(row.get("symbolType", ""), "symbolType")
    if kind not in COINS:
        return "not_crypto" if kind in NOT_COINS else "unknown_kind"
    named = by_name(name)  # the contract's unit stands in its name
    base = text(row["baseCoin"])
    symbol, multiplier = canonical(base) if named is None else (named.symbol, named.multiplier)
    minutes = number(row["fundingInterval"], 0, 1440)  # the ticker speaks of hours
    interval_h = None if minutes == 0 else interval_hours(minutes / 60)
    size = 1.0 if inverse else multiplier
    return Listing(emit.venue, name, symbol, inverse, size, multiplier, interval_h, _trades(row), emit.recv_ts)
