"""What is kept of a BitMEX `instrument` row, and what the contract is worth by its terms. Pure.

Which fields count, how they are read, the row merged so far; terms as the venue page has them ("Contract maths").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from service.errors import BadPayload
from service.model import Stream
from service.venues.emit import HOUR_MS, need
from service.venues.numbers import coins, interval_hours, iso_epoch_ms, iso_ms, number, price, rate
from service.venues.symbols import canonical

INTERVAL_ZERO_MS = 946_684_800_000  # 2000-01-01: intervals are sent as times after it
SIZE_TOLERANCE = 1e-6
SATOSHI = 1e-8


def interval_h(value: Any) -> float:
    """A funding interval: `2000-01-01T08:00:00.000Z` is 8 h."""
    return interval_hours((iso_epoch_ms(value) - INTERVAL_ZERO_MS) / HOUR_MS)


TERMS = (
    "typ", "state", "underlying", "quoteCurrency", "settlCurrency", "isInverse", "isQuanto", "multiplier",
    "underlyingToPositionMultiplier", "underlyingToSettleMultiplier", "quoteToSettleMultiplier",
)  # fmt: skip
# field -> (stream it belongs to, parser)
FIELDS: dict[str, tuple[Stream, Callable[[Any], float | int]]] = {
    "markPrice": ("mark", price),
    "indicativeSettlePrice": ("mark", price),
    "fundingRate": ("funding", rate),
    "fundingTimestamp": ("funding", iso_ms),
    "fundingInterval": ("funding", interval_h),
    "openInterest": ("oi", coins),
}
MAIN_FIELD: dict[Stream, str] = {"mark": "markPrice", "funding": "fundingRate", "oi": "openInterest"}

# Prices are stamped on a grid (of 5 s at the coarsest), other rows exactly: the next price may be stamped before a row
# that has come, so that what a row confirms is confirmed as of the point of the grid before it.
GRID_MS = 5_000
AHEAD_MS = 2_000  # docs/signal.md section 2: a time further ahead of ours is refused, and orders nothing


def row_time(fields: dict[str, Any]) -> int | None:
    """When the venue stamped a row; None where it has no time. Raises :exc:`BadPayload`."""
    return None if fields.get("timestamp") is None else iso_ms(fields["timestamp"])


def order_of(venue_ts: int | None, recv_ts: int) -> int | None:
    """Where a row of this time belongs in the order of rows; None where its time is none to order by.

    ``recv_ts`` 0: a recording without receive times, where no time can be ahead.
    """
    return None if venue_ts is None or venue_ts > recv_ts + AHEAD_MS > AHEAD_MS else venue_ts


class Row:
    """An instrument's merged row on this connection. A name missing from ``values`` has no value we may claim.

    Of each field the latest said counts, whatever order the rows come in: an update names only what changed, so that
    leaving out a late row whole would lose the fields that no later row names.
    """

    __slots__ = ("latest", "said_at", "terms", "times", "unpriced", "values")

    def __init__(self) -> None:
        self.terms: dict[str, Any] = {}
        self.values: dict[str, float | int | None] = {}
        self.times: dict[str, int] = {}  # of the latest row that had the field, if any had a time
        self.said_at: dict[Stream, int] = {}  # the same of any field of the stream
        self.latest: int | None = None  # time of the latest row
        self.unpriced = False  # its open interest is held but must still be told: a price or new terms came later

    def is_late(self, venue_ts: int | None) -> bool:
        """Whether a row of this time comes after a later one; a row without a time does not say. Equal is not late."""
        if venue_ts is None:
            return False
        if self.latest is not None and venue_ts < self.latest:
            return True
        self.latest = venue_ts
        return False

    def takes(self, key: str, venue_ts: int | None) -> bool:
        """Whether a field of a row of this time is to be merged: no later row has said it."""
        if venue_ts is not None:
            if venue_ts < self.times.get(key, venue_ts):
                return False
            self.times[key] = venue_ts
            if key in FIELDS:
                stream = FIELDS[key][0]
                self.said_at[stream] = max(venue_ts, self.said_at.get(stream, venue_ts))
        return True

    def take_terms(self, fields: dict[str, Any], recv_ts: int) -> bool:
        """Merge the contract's terms among ``fields``; whether there were any to be merged. A row whose time cannot be
        read is one without a time."""
        if not any(key in fields for key in TERMS):
            return False
        try:
            ordered = order_of(row_time(fields), recv_ts)
        except BadPayload:
            ordered = None
        taken = {key: fields[key] for key in TERMS if key in fields and self.takes(key, ordered)}
        self.terms.update(taken)
        return bool(taken)

    def confirmable(self, streams: Sequence[Stream], at: int) -> tuple[Stream, ...]:
        """Those that a row may confirm as of ``at``: what was said since needs no confirming."""
        return tuple(stream for stream in streams if self.said_at.get(stream, at) <= at)

    def doubt(self, key: str) -> None:
        """The venue changed this field to something unreadable: its old value must not be claimed."""
        self.values.pop(key, None)
        if key in ("fundingInterval", "indicativeSettlePrice"):
            self.values[key] = None  # known to be unknown: neither metadata nor a Confirm may bring the old one back


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
