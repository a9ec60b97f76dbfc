"""Deribit: instruments (`public/get_instruments`), and what a name alone says."""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.emit import Emit
from service.venues.numbers import text
from service.venues.reading import flag, label
from service.venues.symbols import USD_QUOTES, canonical, why_foreign

VENUE = "deribit"
INTERVAL_H = 8.0  # current_funding is expressed per 8 h
PERPETUAL = "-PERPETUAL"
KINDS = {"linear": False, "reversed": True}


def by_name(name: str) -> Listing | None:
    """BTC-PERPETUAL is inverse, BTC_USDC-PERPETUAL linear; futures, options and combos end otherwise."""
    stem = name.removesuffix(PERPETUAL)
    base, paired, quote = stem.partition("_")
    if stem == name or not base or "-" in stem or (paired and quote not in USD_QUOTES):
        return None
    symbol, multiplier = canonical(base)
    return Listing(VENUE, name, symbol, not paired, multiplier if paired else 1.0, multiplier, None, True, 0)


def read_instrument(row: dict[str, Any], emit: Emit) -> None:
    """One instrument. `contract_size` (10 USD, 0.001 coins) is the trading step; sizes are amounts in USD or coins."""
    emit.instrument(text(row["instrument_name"]), row, lambda name, row: _terms(name, row, emit.recv_ts), _trades)


def _trades(row: dict[str, Any]) -> bool:
    """Open; not before its launch, when terms may be empty, nor after its end."""
    return flag(row["is_active"], "is_active")


def _terms(name: str, row: dict[str, Any], recv_ts: int) -> Listing | str:
    named = by_name(name)
    if label(row["settlement_period"], "settlement_period") != "perpetual":
        reason = why_foreign(name)
        return "dated" if reason == "foreign" else reason
    if label(row["quote_currency"], "quote_currency") not in USD_QUOTES or named is None:
        return why_foreign(name)
    inverse = named.inverse
    if "future_type" in row:  # rows before 2022 do not say
        kind = label(row["future_type"], "future_type")
        stated = KINDS.get(kind)
        if stated is None:
            raise BadPayload("unknown_shape", f"future_type {kind}")
        inverse = stated
    size = 1.0 if inverse else named.multiplier
    return Listing(VENUE, name, named.symbol, inverse, size, named.multiplier, INTERVAL_H, _trades(row), recv_ts)
