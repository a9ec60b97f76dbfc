"""Hyperliquid: the published past for the warm start.

`fundingHistory` (at most 500 rows, weight 20 and 1 per 20 rows) only. `candleSnapshot` is of trades, not of the mark,
the oracle's past is not published, and open interest is only told as of now.
"""

from __future__ import annotations

from typing import Any

import orjson

from service.model import Listing
from service.venues.contract import Request
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS
from service.venues.history import Past, context_of, same_name, settling, tell_history
from service.venues.hyperliquid.metadata import INTERVAL_H
from service.venues.numbers import rate, text, timestamp_ms
from service.venues.reading import items, mapping

FUNDINGS_PER_WEIGHT = 20
INTERVALS_H = (1, 8)  # of settled rates of any time: 8 h until mid 2023; other spacings are late or missing rows


def requests(rest: str, name: str, since_ms: int, now_ms: int) -> list[Request]:
    """Settled funding, from the hour before on: the rate in force at the beginning."""
    since_ms -= HOUR_MS
    rows = (now_ms - since_ms) // HOUR_MS + 1
    body = {"type": "fundingHistory", "coin": name, "startTime": since_ms, "endTime": now_ms}
    weight = 20.0 + -(-rows // FUNDINGS_PER_WEIGHT)
    return [Request("POST", f"{rest}/info", weight, orjson.dumps(body).decode(), context_of("funding", name))]


def tell_past(emit: Emit, answer: Any, what: str, name: str) -> None:
    """The points of one answer."""
    listing = settling(emit, what, name)
    tell_history(emit, PAST, listing, what, items(answer, "fundingHistory"), INTERVAL_H)


def _settled(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "fundingHistory[]")
    same_name(text(fields["coin"]), listing.instrument)
    return timestamp_ms(fields["time"]), rate(fields["fundingRate"])


# Without spacings: in the days a start asks for funding is hourly, and a longer distance is missing rows, no interval.
PAST = Past(settled=_settled)
