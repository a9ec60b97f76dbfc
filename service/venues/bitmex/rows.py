"""What is kept of a BitMEX `instrument` row: which fields count, how they are read, the row merged so far. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from service.errors import BadPayload
from service.model import Stream
from service.venues.bitmex.metadata import interval_h
from service.venues.numbers import coins, iso_ms, price, rate

TERMS = frozenset((
    "typ", "state", "underlying", "quoteCurrency", "settlCurrency", "isInverse", "isQuanto", "multiplier",
    "underlyingToPositionMultiplier", "underlyingToSettleMultiplier", "quoteToSettleMultiplier",
))  # fmt: skip
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
    stamp = fields.get("timestamp")
    return None if stamp is None else iso_ms(stamp)


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
        self.values: dict[str, Any] = {}  # as FIELDS reads them; None: known to be unknown
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
                stream, said_at = FIELDS[key][0], self.said_at
                if venue_ts >= said_at.get(stream, venue_ts):
                    said_at[stream] = venue_ts
        return True

    def take_terms(self, fields: dict[str, Any], recv_ts: int) -> bool:
        """Merge the contract's terms among ``fields``; whether there were any to be merged. A row whose time cannot be
        read is one without a time."""
        if TERMS.isdisjoint(fields):
            return False
        try:
            ordered = order_of(row_time(fields), recv_ts)
        except BadPayload:
            ordered = None
        taken = {key: value for key, value in fields.items() if key in TERMS and self.takes(key, ordered)}
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
