"""What a BitMEX contract is worth, from its terms in an `instrument` row (venue page, "Contract maths"). Pure."""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.venues.emit import HOUR_MS, need
from service.venues.numbers import interval_hours, iso_epoch_ms, number
from service.venues.symbols import canonical

INTERVAL_ZERO_MS = 946_684_800_000  # 2000-01-01: intervals are sent as times after it
SIZE_TOLERANCE = 1e-6
SATOSHI = 1e-8


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
    value = _optional(row, "multiplier")
    if inverse:
        settled = _optional(row, "underlyingToSettleMultiplier")
        return None if value is None or settled is None or value / settled <= 0 else value / settled
    units, scale = _optional(row, "underlyingToPositionMultiplier"), _optional(row, "quoteToSettleMultiplier")
    if units is None or units < 0:
        return None
    if value is not None and scale is not None and abs(value * units - scale) > SIZE_TOLERANCE * abs(scale):
        return None
    return multiplier / units


def quanto_coins(terms: dict[str, Any], bitcoin: float) -> float:
    """Native coins per quanto contract, which is worth price x `multiplier` satoshi: its own price cancels out."""
    return number(need(terms, "multiplier"), 1e-12, 1e15) * SATOSHI * bitcoin


def _optional(row: dict[str, Any], key: str) -> float | None:
    """A factor other than 0, or None if the row does not have it."""
    value = row.get(key)
    if value is None:
        return None
    result = number(value, -1e15, 1e15)
    if abs(result) < 1e-12:
        raise BadPayload("out_of_bounds", f"{key} of {result:g}")
    return result
