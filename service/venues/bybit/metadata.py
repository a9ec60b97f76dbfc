"""Bybit: instruments (`instruments-info`)."""

from __future__ import annotations

from typing import Any

from service.model import Listing
from service.venues.emit import Emit
from service.venues.numbers import interval_hours, number, text
from service.venues.reading import label
from service.venues.symbols import USD_QUOTES, base_of, canonical

KINDS = {"LinearPerpetual": False, "InversePerpetual": True}
INTERVALS_H = (1, 2, 4, 8)
SIDES = "sides:"  # context of the tickers in which two figures of open interest are compared
SIDES_DOCUMENTED = 2  # of `openInterest`


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
    name = text(row["symbol"])
    inverse = KINDS.get(label(row["contractType"], "contractType"))
    if inverse is None or label(row["quoteCoin"], "quoteCoin") not in USD_QUOTES:
        emit.refuse(name)
        return
    named = by_name(name)  # the contract's unit stands in its name
    base = text(row["baseCoin"])
    symbol, multiplier = canonical(base) if named is None else (named.symbol, named.multiplier)
    minutes = number(row["fundingInterval"], 0, 1440)  # the ticker speaks of hours
    interval_h = None if minutes == 0 else interval_hours(minutes / 60)
    trading = label(row["status"], "status") == "Trading"
    size = 1.0 if inverse else multiplier
    emit.listed(Listing(emit.venue, name, symbol, inverse, size, multiplier, interval_h, trading, emit.recv_ts))
