"""Bybit: the published past for the warm start.

Endpoints (bybit-exchange.github.io, docs/v5/market): `mark-price-kline` and `index-price-kline`, rows [start, open,
high, low, close], at most 1000; `open-interest`, at most 200 of 5 min, `openInterest` both sides and
`singleOpenInterest` (since June 2026) one; `funding/history`, at most 200, refused with a start time alone. All newest
first, start and end inclusive. No page says of what moment of its period a figure of `open-interest` is: taken as of
the end (``venues/history.py``). A minute under way shows the last price as its close, so only finished ones are read.
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Decoded, Endpoints, Listing
from service.venues.bybit.trades import category_of
from service.venues.contract import Request
from service.venues.emit import items, mapping, need
from service.venues.history import (
    FUNDING_BEFORE_MS,
    MINUTE_MS,
    Bars,
    HistoryPointReader,
    context_of,
    newest_first,
    pages,
    same_name,
)
from service.venues.numbers import coins, number, price, rate, text, timestamp_ms

INTERVALS_H = (1, 2, 4, 8)
BARS_A_PAGE = 1000
INTEREST_MS = 300_000
INTERESTS_A_PAGE = 200
FUNDINGS_A_PAGE = 200  # four days even of hourly settlements
SECONDS_BELOW = 100_000_000_000  # a history row was once stamped in seconds


def stamp_ms(value: Any) -> int:
    """A row's time, in ms or, as was once seen, in seconds."""
    at = number(value, 0, 1e15)
    return timestamp_ms(at * 1000 if at < SECONDS_BELOW else at)


def one_sided(fields: dict[str, Any]) -> tuple[float, bool]:
    """One-sided open interest of a row, and whether it is halved from the both-sided figure."""
    if fields.get("singleOpenInterest", "") != "":
        return coins(fields["singleOpenInterest"]), False
    return coins(need(fields, "openInterest")) / 2, True


def history_requests(endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """See :meth:`service.venues.contract.Venue.history`."""
    name = listing.instrument
    subject = f"category={category_of(listing)}&symbol={name}"
    base = f"{endpoints.rest}/v5/market"

    def bars(what: str, endpoint: str) -> list[Request]:
        return [
            Request(
                "GET",
                f"{base}/{endpoint}?{subject}&interval=1&start={first}&end={last}&limit={BARS_A_PAGE}",
                context=context_of(what, name),
            )
            for first, last in pages(since_ms, now_ms, MINUTE_MS, BARS_A_PAGE)
        ]

    interests = [
        Request(
            "GET",
            f"{base}/open-interest?{subject}&intervalTime=5min&startTime={first}&endTime={last}&limit={INTERESTS_A_PAGE}",
            context=context_of("oi", name),
        )
        for first, last in pages(since_ms, now_ms, INTEREST_MS, INTERESTS_A_PAGE)
    ]
    fundings = [
        Request(
            "GET",
            f"{base}/funding/history?{subject}&startTime={since_ms - FUNDING_BEFORE_MS}&endTime={now_ms}"
            f"&limit={FUNDINGS_A_PAGE}",
            context=context_of("funding", name),
        )
    ]
    return newest_first(bars("mark", "mark-price-kline"), interests, bars("index", "index-price-kline"), fundings)


class HistoryReader(HistoryPointReader):
    """The decoder's side."""

    def _read_history(self, subject: tuple[str, str], result: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        what, name = subject
        listing = self._listing(name)
        if listing is None:
            return
        rows = items(need(result, "list"), "list")
        if what != "funding":
            same_name(text(need(result, "symbol")), name)
        self._tell_history(listing, what, rows, INTERVALS_H, listing.interval_h, recv_ts, out)

    def _history_bar(self, listing: Listing, stream: Bars, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = items(row, "candle")
        if len(fields) < 5:
            raise BadPayload("missing_field", f"candle of {len(fields)} fields")
        opened_ms = timestamp_ms(fields[0])
        if opened_ms % MINUTE_MS != 0:
            raise BadPayload("out_of_bounds", f"candle from {opened_ms}")
        self._bar(listing, stream, opened_ms, price(fields[4]), recv_ts, out)

    def _history_count(self, listing: Listing, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """One-sided, as streamed; dollars on an inverse contract."""
        fields = mapping(row, "row")
        contracts, _ = one_sided(fields)
        self._history_interest(listing, stamp_ms(need(fields, "timestamp")), INTEREST_MS, contracts, recv_ts, out)

    def _history_rate(self, listing: Listing, row: Any, settled: list[tuple[int, float]]) -> None:
        fields = mapping(row, "row")
        same_name(text(need(fields, "symbol")), listing.instrument)
        settled.append((timestamp_ms(need(fields, "fundingRateTimestamp")), rate(need(fields, "fundingRate"))))
