"""OKX: the published past of a swap, for the warm start.

Endpoints (OKX API guide v5, sections "Get mark price candlesticks" and "... history", "Get index candlesticks" and
"... history", "Get contract open interest history", "Get funding rate history"):
`/api/v5/market/{mark-price,index}-candles` reach back 1,440 rows, `.../history-{mark-price,index}-candles` years; rows
[opening time, open, high, low, close, confirm], at most 100, 20 requests in 2 s (10 by older texts of the latter);
`/api/v5/rubik/stat/contracts/open-interest-history`: rows [time, contracts, coins, USD], at most 100, and
`/api/v5/public/funding-rate-history`, both 10 requests in 2 s by address *and instrument*. Bounds are exclusive.
Of open interest the newest 1,440 rows are kept, of hours 60 days.
The guide does not say of what moment of its period an open interest is: taken as of their end
(``venues/history.py``).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.errors import BadPayload
from service.model import Listing
from service.venues.contract import Request
from service.venues.funding_schedule import HOUR_MS
from service.venues.history import (
    FUNDING_BEFORE_MS,
    MINUTE_MS,
    Past,
    context_of,
    funding_pages,
    newest_first,
    pages,
    same_name,
)
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.okx.metadata import INTERVALS_H, index_of
from service.venues.reading import items, mapping

ROWS = 100  # a page
RECENT_MS = 1_400 * MINUTE_MS  # below 1,440: some minutes pass between the plan and the request
OLD_WEIGHT = 2.0
INTEREST_MS = 300_000
BY_INSTRUMENT_WEIGHT = 0.5  # limited per instrument, so far apart in practice


def requests(base: str, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """Marks first, then what else is needed of the same time; newest first."""
    name = listing.instrument

    def bars(what: str, candles: str, subject: str) -> list[Request]:
        found = []
        for first, last in pages(since_ms, now_ms, MINUTE_MS, ROWS):
            recent = first >= now_ms - RECENT_MS
            url = f"{base}/market/{'' if recent else 'history-'}{candles}-candles"
            query = f"instId={quote(subject, safe='')}&bar=1m&before={first - 1}&after={last + 1}&limit={ROWS}"
            weight = 1.0 if recent else OLD_WEIGHT
            found.append(Request("GET", f"{url}?{query}", weight, context=context_of(what, name)))
        return found

    subject = f"instId={quote(name, safe='')}"
    interests = []
    for first, last in pages(since_ms, now_ms, INTEREST_MS, ROWS):
        query = f"{subject}&period=5m&begin={first - 1}&end={last + 1}&limit={ROWS}"
        url = f"{base}/rubik/stat/contracts/open-interest-history?{query}"
        interests.append(Request("GET", url, BY_INSTRUMENT_WEIGHT, context=context_of("oi", name)))
    query = f"{subject}&before={since_ms - FUNDING_BEFORE_MS - 1}&limit={ROWS}"
    url = f"{base}/public/funding-rate-history?{query}"
    funding = Request("GET", url, BY_INSTRUMENT_WEIGHT, context=context_of("funding", name))
    indices = bars("index", "index", index_of(listing))
    return newest_first(bars("mark", "mark-price", name), interests, indices, [funding])


def month(base: str, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """See :meth:`service.venues.contract.Venue.month`."""
    name = listing.instrument
    subject = f"instId={quote(name, safe='')}"
    found = []
    for first, last in pages(since_ms, now_ms, HOUR_MS, ROWS):
        query = f"{subject}&bar=1H&before={first - 1}&after={last + 1}&limit={ROWS}"
        url = f"{base}/market/history-mark-price-candles?{query}"
        found.append(Request("GET", url, OLD_WEIGHT, context=context_of("hourly_mark", name)))
        query = f"{subject}&period=1H&begin={first - 1}&end={last + 1}&limit={ROWS}"
        url = f"{base}/rubik/stat/contracts/open-interest-history?{query}"
        found.append(Request("GET", url, BY_INSTRUMENT_WEIGHT, context=context_of("hourly_oi", name)))
    for first, last in funding_pages(since_ms, now_ms, listing.interval_h, ROWS):
        query = f"{subject}&before={first - 1}&after={last + HOUR_MS}&limit={ROWS}"
        url = f"{base}/public/funding-rate-history?{query}"
        found.append(Request("GET", url, BY_INSTRUMENT_WEIGHT, context=context_of("funding", name)))
    return found


def _bar(listing: Listing, row: Any) -> tuple[int, float] | None:
    opened, _, _, _, close, confirm = _fields(row, 6)
    if confirm not in ("0", "1"):
        raise BadPayload("unknown_shape", "confirm")
    return (timestamp_ms(opened), price(close)) if confirm == "1" else None  # else not over yet


def _interest(listing: Listing, row: Any) -> tuple[int, float]:
    at, contracts = _fields(row, 2)
    return timestamp_ms(at), coins(contracts)


def _settled(listing: Listing, row: Any) -> tuple[int, float] | None:
    fields = mapping(row, "data[]")
    same_name(text(fields["instId"]), listing.instrument)
    if fields["realizedRate"] == "":
        return None  # not settled yet
    return timestamp_ms(fields["fundingTime"]), rate(fields["realizedRate"])


def _fields(row: Any, least: int) -> list[Any]:
    fields = items(row, "row")
    if len(fields) < least:
        raise BadPayload("missing_field", f"row of {len(fields)}")
    return fields[:least]


PAST = Past(_bar, _interest, INTEREST_MS, _settled, INTERVALS_H)
