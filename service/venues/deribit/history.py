"""Deribit: past funding for the warm start.

`public/get_funding_rate_history` (API reference; hourly, `interest_1h` the rate of an hour). Of perpetuals there is no
other past: `public/get_mark_price_history` is empty for them by its reference, of open interest there is no history.
The reference does not say whether an hour's stamp is its start or its end: taken as known an hour after the stamp.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.model import Endpoints, Listing
from service.venues.contract import Request
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS
from service.venues.history import Past, context_of, settling, tell_history
from service.venues.numbers import rate, timestamp_ms
from service.venues.reading import items, mapping

INTERVAL_H = 1.0


def requests(endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """With the rate in force at the beginning."""
    start_ms = since_ms - 2 * HOUR_MS
    query = f"instrument_name={quote(listing.instrument, safe='')}&start_timestamp={start_ms}&end_timestamp={now_ms}"
    url = f"{endpoints.rest}/public/get_funding_rate_history?{query}"
    return [Request("GET", url, context=context_of("funding", listing.instrument))]


def tell_past(emit: Emit, frame: dict[str, Any], what: str, name: str) -> None:
    """The answer to such a request."""
    listing = settling(emit, what, name)
    tell_history(emit, PAST, listing, what, items(frame["result"], "result"), INTERVAL_H)


def _settled(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "result[]")
    return timestamp_ms(fields["timestamp"]) + HOUR_MS, rate(fields["interest_1h"])


PAST = Past(settled=_settled)
