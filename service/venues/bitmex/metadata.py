"""BitMEX: instruments, and what their contracts are worth by the terms (the venue page's "Contract maths")."""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS
from service.venues.numbers import interval_hours, iso_epoch_ms, number, text, within
from service.venues.reading import flag, label, readable
from service.venues.symbols import USD_QUOTES, base_of, canonical, why_foreign

BITCOIN = "XBTUSD"  # its index converts quanto contracts, which are worth satoshi
PERPETUAL = "FFWCSX"
OTHERS = {  # other values of `typ`: why they are left out; a kind we do not know is left out too
    "FFCCSX": "dated", "FFICSX": "dated",  # futures, prediction markets
    "FFWCSF": "not_crypto", "FFSCSX": "not_crypto",  # perpetuals on currencies, on stocks
    "IFXXXP": "foreign", "OCECCS": "option", "OPECCS": "option",  # spot
    "MRBXXX": "foreign", "MRCXXX": "foreign", "MRFXXX": "foreign", "MRIXXX": "foreign", "MRRXXX": "foreign",  # indices
}  # fmt: skip
INTERVAL_ZERO_MS = 946_684_800_000  # 2000-01-01: intervals are sent as times after it
SIZE_TOLERANCE = 1e-6
SATOSHI = 1e-8

_satoshi = within(1e-12, 1e15)  # of a quanto contract's worth, for each unit of its price


def by_name(name: str) -> Listing | None:
    """XBTUSDT is a perpetual; dated futures end in month and year, spot has an underscore, indices a dot.

    Only of XBTUSD does the name tell the contract: other names on USD are quanto or inverse.
    """
    base = None if "_" in name or name.startswith(".") else base_of(name, USD_QUOTES)
    if base is None:
        return None
    symbol, multiplier = canonical_base(base)
    inverse = name == BITCOIN
    return Listing("bitmex", name, symbol, inverse, 1.0 if inverse else None, multiplier, None, True, 0)


def read_instrument(name: str, row: dict[str, Any], emit: Emit) -> None:
    """The contract's terms, of a whole row or merged."""
    emit.instrument(name, row, lambda name, row: _terms(name, row, emit), _trades)


def _trades(row: dict[str, Any]) -> bool:
    """Not `Unlisted` (before its launch: terms may be empty or 0), closed or settled."""
    return label(row["state"], "state") == "Open"


def _terms(name: str, row: dict[str, Any], emit: Emit) -> Listing | str:
    currency, typ = row.get("quoteCurrency"), label(row["typ"], "typ")
    if typ != PERPETUAL:
        return OTHERS.get(typ, "unknown_kind")
    if type(currency) is not str or currency.upper() not in USD_QUOTES:
        return why_foreign(name)
    inverse, quanto = row["isInverse"], row["isQuanto"]
    flag(inverse, "isInverse")
    flag(quanto, "isQuanto")
    guess = by_name(name)  # the contract's unit stands in its name
    underlying = text(row["underlying"])
    symbol, multiplier = canonical_base(underlying) if guess is None else (guess.symbol, guess.multiplier)
    size = None if quanto else contract_size(row, inverse, multiplier)
    satoshi = readable(row, "multiplier", _satoshi) if quanto and row.get("settlCurrency") == "XBt" else None
    if satoshi is not None:
        emit.catalog.quanto[name] = satoshi * SATOSHI
    known = emit.catalog.listings.get(name)
    hours = None if known is None else known.interval_h  # an update of other terms does not name it
    if row.get("fundingInterval") is not None:
        hours = interval_h(row["fundingInterval"])
    return Listing(emit.venue, name, symbol, inverse, size, multiplier, hours, _trades(row), emit.recv_ts)


def interval_h(value: Any) -> float:
    """A funding interval: `2000-01-01T08:00:00.000Z` is 8 h."""
    return interval_hours((iso_epoch_ms(value) - INTERVAL_ZERO_MS) / HOUR_MS)


def canonical_base(base: str) -> tuple[str, float]:
    """As :func:`service.venues.symbols.canonical`, with this venue's factor of 100.

    >>> canonical_base("XBT"), canonical_base("100BONK")
    (('BTC', 1.0), ('1000BONK', 0.1))
    """
    if base.startswith("100") and base[3:].isalpha():
        symbol, multiplier = canonical(base[3:])
        return symbol, multiplier * 100
    return canonical(base)


def contract_size(row: dict[str, Any], inverse: bool, multiplier: float) -> float | None:
    """USD (inverse) or canonical coins (linear) per contract; None where the row does not say it, or says two things.

    Inverse: `multiplier` / `underlyingToSettleMultiplier` (XBTUSD: -1e8 / -1e8). Linear: 1 /
    `underlyingToPositionMultiplier`, which must agree with `multiplier` / `quoteToSettleMultiplier`.
    """
    value = _factor(row, "multiplier")
    if inverse:
        settled = _factor(row, "underlyingToSettleMultiplier")
        return None if value is None or settled is None or value / settled <= 0 else value / settled
    units, scale = _factor(row, "underlyingToPositionMultiplier"), _factor(row, "quoteToSettleMultiplier")
    if units is None or units < 0:
        return None
    if value is not None and scale is not None and abs(value * units - scale) > SIZE_TOLERANCE * abs(scale):
        return None
    return multiplier / units


def quanto_coins(terms: dict[str, Any], bitcoin: float) -> float:
    """Native coins per quanto contract, which is worth price x `multiplier` satoshi: its own price cancels out."""
    return _satoshi(terms["multiplier"]) * SATOSHI * bitcoin


def _factor(row: dict[str, Any], key: str) -> float | None:
    """A factor other than 0, or None if the row does not have it."""
    value = row.get(key)
    if value is None:
        return None
    result = number(value, -1e15, 1e15)
    if abs(result) < 1e-12:
        raise BadPayload("out_of_bounds", f"{key} of {result:g}")
    return result
