"""Bybit: the published past for the warm start.

Endpoints (bybit-exchange.github.io, docs/v5/market): `mark-price-kline` and `index-price-kline`, rows [start, open,
high, low, close], at most 1000; `open-interest`, at most 200 of 5 min or 1 h, `openInterest` both sides and
`singleOpenInterest` (since June 2026) one; `funding/history`, at most 200, refused with a start time alone. All newest
first, start and end inclusive. No page says of what moment of its period a figure of `open-interest` is: taken as of
the end (``venues/history.py``). A minute under way shows the last price as its close, so only finished ones are read.
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing
from service.venues.bybit.metadata import INTERVALS_H, SIDES_DOCUMENTED
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
from service.venues.numbers import coins, number, price, rate, text, timestamp_ms
from service.venues.reading import items, mapping

BARS_A_PAGE = 1000
INTEREST_MS = 300_000
INTERESTS_A_PAGE = 200
FUNDINGS_A_PAGE = 200  # four days even of hourly settlements
SECONDS_BELOW = 100_000_000_000  # a history row was once stamped in seconds


def requests(base: str, name: str, subject: str, since_ms: int, now_ms: int) -> list[Request]:
    """See :meth:`service.venues.contract.Venue.history`. ``subject`` is the query that names the instrument."""

    def bars(what: str, endpoint: str) -> list[Request]:
        url = f"{base}/{endpoint}?{subject}&interval=1"
        return [
            Request("GET", f"{url}&start={first}&end={last}&limit={BARS_A_PAGE}", context=context_of(what, name))
            for first, last in pages(since_ms, now_ms, MINUTE_MS, BARS_A_PAGE)
        ]

    url = f"{base}/open-interest?{subject}&intervalTime=5min"
    interests = [
        Request(
            "GET", f"{url}&startTime={first}&endTime={last}&limit={INTERESTS_A_PAGE}", context=context_of("oi", name)
        )
        for first, last in pages(since_ms, now_ms, INTEREST_MS, INTERESTS_A_PAGE)
    ]
    span = f"startTime={since_ms - FUNDING_BEFORE_MS}&endTime={now_ms}&limit={FUNDINGS_A_PAGE}"
    funding = Request("GET", f"{base}/funding/history?{subject}&{span}", context=context_of("funding", name))
    return newest_first(bars("mark", "mark-price-kline"), interests, bars("index", "index-price-kline"), [funding])


def month(base: str, listing: Listing, subject: str, since_ms: int, now_ms: int) -> list[Request]:
    """See :meth:`service.venues.contract.Venue.month`."""

    def asked(what: str, query: str) -> Request:
        return Request("GET", f"{base}/{query}", context=context_of(what, listing.instrument))

    marks = [
        asked("hourly_mark", f"mark-price-kline?{subject}&interval=60&start={first}&end={last}&limit={BARS_A_PAGE}")
        for first, last in pages(since_ms, now_ms, HOUR_MS, BARS_A_PAGE)
    ]
    query = f"open-interest?{subject}&intervalTime=1h"
    interests = [
        asked("hourly_oi", f"{query}&startTime={first}&endTime={last}&limit={INTERESTS_A_PAGE}")
        for first, last in pages(since_ms, now_ms, HOUR_MS, INTERESTS_A_PAGE)
    ]
    fundings = [
        asked("funding", f"funding/history?{subject}&startTime={first}&endTime={last}&limit={FUNDINGS_A_PAGE}")
        for first, last in funding_pages(since_ms, now_ms, listing.interval_h, FUNDINGS_A_PAGE)
    ]
    return [*marks, *interests, *fundings]


def stamp_ms(value: Any) -> int:
    """A row's time, in ms or, as was once seen, in seconds."""
    at = number(value, 0, 1e15)
    return timestamp_ms(at * 1000 if at < SECONDS_BELOW else at)


def one_sided(fields: dict[str, Any], sides: int = SIDES_DOCUMENTED) -> tuple[float, bool]:
    """One-sided open interest of a row, and whether it is halved. ``sides``: those that `openInterest` counts."""
    if fields.get("singleOpenInterest", "") != "":
        return coins(fields["singleOpenInterest"]), False
    return coins(fields["openInterest"]) / sides, sides == 2


def _bar(listing: Listing, row: Any) -> tuple[int, float]:
    fields = items(row, "candle")
    if len(fields) < 5:
        raise BadPayload("missing_field", f"candle of {len(fields)} fields")
    opened_ms = timestamp_ms(fields[0])
    if opened_ms % MINUTE_MS != 0:
        raise BadPayload("out_of_bounds", f"candle from {opened_ms}")
    return opened_ms, price(fields[4])


def _interest(listing: Listing, row: Any) -> tuple[int, float]:
    """One-sided, as streamed; dollars on an inverse contract."""
    fields = mapping(row, "row")
    contracts, _ = one_sided(fields)  # both figures are in the history; halved where there is only the old one
    return stamp_ms(fields["timestamp"]), contracts


def _settled(listing: Listing, row: Any) -> tuple[int, float]:
    fields = mapping(row, "row")
    same_name(text(fields["symbol"]), listing.instrument)
    return timestamp_ms(fields["fundingRateTimestamp"]), rate(fields["fundingRate"])


PAST = Past(_bar, _interest, INTEREST_MS, _settled, INTERVALS_H)
