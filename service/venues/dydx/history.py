"""dYdX v4: the published past for the warm start, settled funding.

`GET /historicalFunding/{ticker}` (Indexer API documentation; newest first, `limit`). The oracle's past, which would be
the marks, is not published (candles are of trades), and the open interest that candles do carry is left out with it:
a venue without marks cannot count, and its open interest alone would only lower the coverage.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.errors import BadPayload
from service.model import Listing
from service.venues.contract import Request
from service.venues.dydx.metadata import INTERVAL_H, market_name
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS
from service.venues.history import Past, context_of, same_name, tell_history
from service.venues.numbers import iso_ms, rate
from service.venues.reading import items, mapping

ROWS = "historicalFunding"


def requests(rest: str, name: str, since_ms: int, now_ms: int) -> list[Request]:
    """Settled funding, with the rate in force at the beginning."""
    rows = (now_ms - since_ms) // HOUR_MS + 2
    url = f"{rest}/historicalFunding/{quote(name, safe='')}?limit={rows}"
    return [Request("GET", url, context=context_of("funding", name))]


def tell_past(emit: Emit, answer: dict[str, Any], what: str, name: str) -> None:
    """The points of one answer."""
    listing = emit.find(name)
    if what != "funding" or listing is None:
        raise BadPayload("unknown_shape", f"history of {what}"[:80])
    tell_history(emit, PAST, listing, what, items(answer[ROWS], ROWS), INTERVAL_H)


def tell_settlement(row: Any, emit: Emit) -> None:
    """The same row where no request says of what: a rate that was charged."""
    listing = emit.find(market_name(mapping(row, "row")["ticker"]))
    if listing is not None:
        emit.funding(listing, rate(row["rate"]), INTERVAL_H, None, iso_ms(row["effectiveAt"]), settled=True)


def _settled(listing: Listing, row: Any) -> tuple[int, float]:
    """A rate of an hour, stamped with the first block after it."""
    same_name(market_name(mapping(row, "row")["ticker"]), listing.instrument)
    return iso_ms(row["effectiveAt"]), rate(row["rate"])


PAST = Past(settled=_settled, intervals_h=(1,))
