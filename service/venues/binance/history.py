"""Binance, both products, and Aster: the published past for the warm start.

Endpoints (developers.binance.com, derivatives, market data; `{api}` is fapi/v1 or dapi/v1, at Aster fapi/v3):
`/{api}/markPriceKlines` by symbol and `/{api}/indexPriceKlines` by pair: rows [open time, open, high, low, close,
"0", close time, ...], at most 1500, weight by `limit` (below); `/futures/data/openInterestHist`: at most 500 of 5 min
or 1 h, the newest 30 days, none at Aster; `/{api}/fundingRate`: at most 1000, oldest first. Start and end times are
inclusive. Neither page says of what moment of its period a figure of `openInterestHist` is: taken as of the end
(``venues/history.py``).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.errors import BadPayload
from service.model import Listing
from service.venues.binance.metadata import INTERVALS_H, statistics_name
from service.venues.contract import Request
from service.venues.funding_schedule import HOUR_MS
from service.venues.history import FUNDING_BEFORE_MS, MINUTE_MS, Past, context_of, newest_first, pages, same_name
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.reading import items, label, mapping

BARS_A_PAGE = 1000  # the weight of 1500 is twice as high
INTEREST_MS = 300_000
INTERESTS_A_PAGE = 500
INTEREST_KEPT_MS = 30 * 24 * HOUR_MS - 2 * HOUR_MS  # short of 30 days: some hours pass between the plan and the request
FUNDINGS_A_PAGE = 1000  # 41 days even of hourly settlements
STATISTICS, FUNDING = "statistics", "funding"  # buckets: `/futures/data/*`; `fundingRate` with `fundingInfo`


def bars_weight(limit: int) -> float:
    """The documented weight of a page of candles.

    >>> [bars_weight(limit) for limit in (99, 100, 499, 500, 1000, 1001)]
    [1.0, 2.0, 2.0, 5.0, 5.0, 10.0]
    """
    return 1.0 if limit < 100 else 2.0 if limit < 500 else 5.0 if limit <= 1000 else 10.0


def requests(name: str, base: str, pair: str, interest: str | None, since_ms: int, now_ms: int) -> list[Request]:
    """See :meth:`service.venues.contract.Venue.history`. ``pair`` names the index, ``interest`` is the address of open
    interest (None: there is none); both differ by product. Open interest and funding count as 1 of the weight, and in
    buckets of their own."""
    marks = _bars(name, "mark", f"{base}/markPriceKlines?{_symbol(name)}&interval=1m", MINUTE_MS, since_ms, now_ms)
    indices = _bars(name, "index", f"{base}/indexPriceKlines?{pair}&interval=1m", MINUTE_MS, since_ms, now_ms)
    interests = (
        [] if interest is None else _interests(name, "oi", f"{interest}&period=5m", INTEREST_MS, since_ms, now_ms)
    )
    return newest_first(marks, interests, indices, [_fundings(name, base, since_ms, now_ms)])


def month(name: str, base: str, interest: str | None, since_ms: int, now_ms: int) -> list[Request]:
    """See :meth:`service.venues.contract.Venue.month`."""
    if interest is None:
        return []
    marks = f"{base}/markPriceKlines?{_symbol(name)}&interval=1h"
    oldest_ms = max(since_ms, now_ms - INTEREST_KEPT_MS)  # a start before it is refused
    return [
        *_bars(name, "hourly_mark", marks, HOUR_MS, since_ms, now_ms),
        *_interests(name, "hourly_oi", f"{interest}&period=1h", HOUR_MS, oldest_ms, now_ms),
        _fundings(name, base, since_ms, now_ms),
    ]


def _symbol(name: str) -> str:
    return f"symbol={quote(name, safe='')}"


def _bars(name: str, what: str, url: str, step_ms: int, since_ms: int, now_ms: int) -> list[Request]:
    found = []
    for first, last in pages(since_ms, now_ms, step_ms, BARS_A_PAGE):
        limit = (last - first) // step_ms + 1
        span = f"startTime={first}&endTime={last}&limit={limit}"
        found.append(Request("GET", f"{url}&{span}", bars_weight(limit), context=context_of(what, name)))
    return found


def _interests(name: str, what: str, url: str, step_ms: int, since_ms: int, now_ms: int) -> list[Request]:
    found = []
    for first, last in pages(since_ms, now_ms, step_ms, INTERESTS_A_PAGE):
        span = f"startTime={first}&endTime={last}&limit={(last - first) // step_ms + 1}"
        found.append(Request("GET", f"{url}&{span}", context=context_of(what, name), bucket=STATISTICS))
    return found


def _fundings(name: str, base: str, since_ms: int, now_ms: int) -> Request:
    span = f"startTime={since_ms - FUNDING_BEFORE_MS}&endTime={now_ms}&limit={FUNDINGS_A_PAGE}"
    url = f"{base}/fundingRate?{_symbol(name)}&{span}"
    return Request("GET", url, context=context_of("funding", name), bucket=FUNDING)


def past(coinm: bool, bar_ms: int = MINUTE_MS) -> Past:
    """How the answers are read. ``bar_ms``: the length of the bars that were asked for."""

    def interest(listing: Listing, row: Any) -> tuple[int, float] | None:
        """`sumOpenInterest` is the native count on both products; only the name of its value's unit differs."""
        fields = mapping(row, "row")
        if label(fields.get("contractType", "PERPETUAL"), "contractType") != "PERPETUAL":
            return None  # COIN-M: delivery contracts, or all of a pair together
        same_name(statistics_name(fields, coinm), listing.instrument)
        return timestamp_ms(fields["timestamp"]), coins(fields["sumOpenInterest"])

    def bar(listing: Listing, row: Any) -> tuple[int, float]:
        fields = items(row, "candle")
        if len(fields) < 7:
            raise BadPayload("missing_field", f"candle of {len(fields)} fields")
        opened_ms, closed_ms = timestamp_ms(fields[0]), timestamp_ms(fields[6])
        if closed_ms - opened_ms != bar_ms - 1:
            raise BadPayload("out_of_bounds", f"candle of {closed_ms - opened_ms + 1} ms")
        return opened_ms, price(fields[4])

    return Past(bar, interest, INTEREST_MS, _settled, INTERVALS_H)


def _settled(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "row")
    same_name(text(fields["symbol"]), listing.instrument)
    return timestamp_ms(fields["fundingTime"]), rate(fields["fundingRate"])
