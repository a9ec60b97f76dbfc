"""Bitget: the published past for the warm start.

Bars: `candles` with `kLineType` MARK or INDEX (API documents, "Get Candlestick Data": stamped at their opening, the
last one may still change, 1,000 at most). Settled rates: "Get Historical Funding Rates", 100 a page. No open interest.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.errors import BadPayload
from service.model import Listing
from service.venues.bitget.metadata import INTERVALS_H, product_of
from service.venues.contract import Request
from service.venues.history import MINUTE_MS, Past, context_of, newest_first, pages, same_name
from service.venues.numbers import price, rate, text, timestamp_ms
from service.venues.reading import items, mapping

BARS_A_PAGE = 1000
RATES_A_PAGE = 100


def requests(base: str, name: str, since_ms: int, now_ms: int) -> list[Request]:
    """Bars of mark and index, then the settled rates."""
    product = product_of(name)
    if product is None:
        return []
    subject = f"symbol={quote(name, safe='')}&productType={product.lower()}"

    def bars(stream: str) -> list[Request]:
        found = []
        for first, last in pages(since_ms, now_ms, MINUTE_MS, BARS_A_PAGE - 2):  # both ends may count
            span = f"startTime={first}&endTime={last + MINUTE_MS}&limit={BARS_A_PAGE}"
            url = f"{base}/candles?{subject}&granularity=1m&kLineType={stream.upper()}&{span}"
            found.append(Request("GET", url, context=context_of(stream, name)))
        return found

    rates = f"{base}/history-fund-rate?{subject}&pageSize={RATES_A_PAGE}"
    return newest_first(bars("mark"), bars("index"), [Request("GET", rates, context=context_of("funding", name))])


def _bar(listing: Listing, row: Any) -> tuple[int, float]:
    """[opening, open, high, low, close, ...]"""
    values = items(row, "data[]")
    if len(values) < 5:
        raise BadPayload("missing_field", "close of a bar")
    return timestamp_ms(values[0]), price(values[4])


def _settled(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "data[]")
    same_name(text(fields["symbol"]), listing.instrument)
    return timestamp_ms(fields["fundingTime"]), rate(fields["fundingRate"])


PAST = Past(_bar, settled=_settled, intervals_h=INTERVALS_H)
