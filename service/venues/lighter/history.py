"""Lighter: the published past for the warm start, settled funding.

`GET /fundings` (times in seconds; `rate` in percent per hour without a sign, `direction` says who pays). Neither the
mark's past nor that of open interest is published (candles are of trades).
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.contract import Request
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS
from service.venues.history import Past, context_of, settling, tell_history
from service.venues.lighter.metadata import INTERVAL_H
from service.venues.numbers import TS_MAX, TS_MIN, number
from service.venues.reading import items, label, mapping

ROWS = "fundings"
MOST_ROWS = 100  # of an answer
PERCENT_MOST = 5.0  # per hour: ten times the venue's own limit; what is beyond is in another unit
SIGNS = {"long": 1.0, "short": -1.0}  # who pays


def requests(rest: str, name: str, since_ms: int, now_ms: int) -> list[Request]:
    """Settled funding, from the hour before on: the rate in force at the beginning."""
    market = name.rpartition("-")[2]
    first_s, last_s = since_ms // 1000 - 3600, now_ms // 1000
    rows = min((now_ms - since_ms) // HOUR_MS + 2, MOST_ROWS)
    asked = f"resolution=1h&start_timestamp={first_s}&end_timestamp={last_s}&count_back={rows}"
    return [Request("GET", f"{rest}/{ROWS}?market_id={market}&{asked}", context=context_of("funding", name))]


def tell_past(emit: Emit, answer: dict[str, Any], what: str, name: str) -> None:
    """The points of one answer."""
    listing = settling(emit, what, name)
    tell_history(emit, PAST, listing, what, items(answer[ROWS], ROWS), INTERVAL_H)


def _settled(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "fundings[]")
    sign = SIGNS.get(label(fields["direction"], "direction"))
    if sign is None:
        raise BadPayload("unknown_shape", f"direction {fields['direction']}"[:80])
    at = int(number(fields["timestamp"], TS_MIN / 1000, TS_MAX / 1000) * 1000)
    return at, sign * number(fields["rate"], 0.0, PERCENT_MOST) / 100


# Without spacings: rates are per hour, and a longer distance is missing rows, no interval.
PAST = Past(settled=_settled)
