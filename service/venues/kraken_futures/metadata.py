"""Kraken Futures: instruments (`instruments`), and what a name alone says."""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.emit import Emit
from service.venues.numbers import text, within
from service.venues.reading import flag, label, mapping, said
from service.venues.symbols import USD_QUOTES, canonical, why_foreign

VENUE = "kraken_futures"
INTERVAL_H = 1.0  # the unit of every relative rate, also of those fixed for four hours before 29 September 2022
INVERSE = {"PF": False, "PI": True}  # perpetuals by the prefix of their name; FF and FI are dated
KINDS = {"flexible_futures": False, "futures_inverse": True}
QUOTE = "USD"

_size = within(1e-12, 1e15)


def by_name(name: str) -> Listing | None:
    """PF_XBTUSD, PI_XBTUSD; a second underscore marks dated contracts."""
    prefix, _, pair = name.partition("_")
    base, inverse = pair.removesuffix(QUOTE), INVERSE.get(prefix)
    if inverse is None or "_" in pair or not pair.endswith(QUOTE) or not base:
        return None
    symbol, multiplier = canonical(base)
    return Listing(VENUE, name, symbol, inverse, 1.0 if inverse else multiplier, multiplier, None, True, 0)


def read_instrument(row: Any, emit: Emit) -> None:
    """One of the `instruments`."""
    fields = mapping(row, "instruments[]")
    name = text(fields["symbol"]).upper()
    emit.instrument(name, fields, lambda name, fields: _terms(name, fields, emit.recv_ts), _trades)


def _trades(fields: dict[str, Any]) -> bool:
    """Open, and neither before its opening (terms may be empty or 0) nor on its way out."""
    return (
        flag(fields.get("tradeable", False), "tradeable")
        and not flag(fields.get("isExpired", False), "isExpired")
        and not flag(fields.get("postOnly", False), "postOnly")
    )


def _terms(name: str, fields: dict[str, Any], recv_ts: int) -> Listing | str:
    named, inverse = by_name(name), KINDS.get(label(fields["type"], "type"))
    if fields.get("lastTradingTime") is not None:
        return "dated"
    if flag(fields.get("tradfi", False), "tradfi"):
        return "not_crypto"
    if named is None or inverse is None or fields.get("quote", QUOTE) not in USD_QUOTES:
        return why_foreign(name)
    if inverse is not named.inverse:
        raise BadPayload("unknown_shape", f"{name} of type {fields['type']}"[:80])
    symbol, multiplier = named.symbol, named.multiplier
    if fields.get("base", "") != "":  # rows of 2021 have none
        symbol, multiplier = canonical(text(fields["base"]))
    size = said(fields, "contractSize", _size)
    if size is not None and not inverse:
        size *= multiplier
    return Listing(VENUE, name, symbol, inverse, size, multiplier, INTERVAL_H, _trades(fields), recv_ts)
