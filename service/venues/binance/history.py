"""Binance, both products: the published past for the warm start.

Endpoints (developers.binance.com, derivatives, market data; `{api}` is fapi or dapi):
`/{api}/v1/markPriceKlines` by symbol and `/{api}/v1/indexPriceKlines` by pair: rows [open time, open, high, low, close,
"0", close time, ...], at most 1500, weight by `limit` (below); `/futures/data/openInterestHist`: at most 500 of 5 min,
the newest 30 days; `/{api}/v1/fundingRate`: at most 1000, oldest first. Start and end times are inclusive.
Neither page says of what moment of its period a figure of `openInterestHist` is: taken as of the end
(``venues/history.py``).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from service.errors import BadPayload
from service.model import Decoded, Endpoints, Listing
from service.venues.binance.trades import ExtrasReader
from service.venues.contract import Request
from service.venues.emit import items, label, mapping, need
from service.venues.history import (
    FUNDING_BEFORE_MS,
    MINUTE_MS,
    Bars,
    context_of,
    newest_first,
    pages,
    same_name,
    subject_of,
)
from service.venues.numbers import coins, price, rate, text, timestamp_ms

INTERVALS_H = (1, 2, 4, 8)
BARS_A_PAGE = 1000  # the weight of 1500 is twice as high
INTEREST_MS = 300_000
INTERESTS_A_PAGE = 500
FUNDINGS_A_PAGE = 1000


def bars_weight(limit: int) -> float:
    """The documented weight of a page of candles.

    >>> [bars_weight(limit) for limit in (99, 100, 499, 500, 1000, 1001)]
    [1.0, 2.0, 2.0, 5.0, 5.0, 10.0]
    """
    return 1.0 if limit < 100 else 2.0 if limit < 500 else 5.0 if limit <= 1000 else 10.0


class HistoryRequests:
    """The venue's side."""

    api: str
    statistics_weight: float
    funding_weight: float

    def _pair(self, instrument: str) -> str:
        """The pair whose index an instrument follows: for a USD-M perpetual its own name."""
        return instrument

    def _interest_of(self, instrument: str) -> str:
        """The query by which `openInterestHist` names an instrument."""
        return f"symbol={quote(instrument, safe='')}"

    def history(self, endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
        """See :class:`service.venues.contract.Venue`."""
        name = listing.instrument
        symbol, pair = f"symbol={quote(name, safe='')}", f"pair={quote(self._pair(name), safe='')}"
        base = f"{endpoints.rest}/{self.api}/v1"

        def bars(what: str, endpoint: str, subject: str) -> list[Request]:
            found = []
            for first, last in pages(since_ms, now_ms, MINUTE_MS, BARS_A_PAGE):
                limit = (last - first) // MINUTE_MS + 1
                url = f"{base}/{endpoint}?{subject}&interval=1m&startTime={first}&endTime={last}&limit={limit}"
                found.append(Request("GET", url, bars_weight(limit), context=context_of(what, name)))
            return found

        interests = [
            Request(
                "GET",
                f"{endpoints.rest}/futures/data/openInterestHist?{self._interest_of(name)}&period=5m"
                f"&startTime={first}&endTime={last}&limit={(last - first) // INTEREST_MS + 1}",
                self.statistics_weight,
                context=context_of("oi", name),
            )
            for first, last in pages(since_ms, now_ms, INTEREST_MS, INTERESTS_A_PAGE)
        ]
        fundings = [
            Request(
                "GET",
                f"{base}/fundingRate?{symbol}&startTime={since_ms - FUNDING_BEFORE_MS}&endTime={now_ms}"
                f"&limit={FUNDINGS_A_PAGE}",
                self.funding_weight,
                context=context_of("funding", name),
            )
        ]
        marks = bars("mark", "markPriceKlines", symbol)
        return newest_first(marks, interests, bars("index", "indexPriceKlines", pair), fundings)


class HistoryReader(ExtrasReader):
    """The decoder's side."""

    def _metadata_interval(self, name: str) -> float | None:
        raise NotImplementedError

    def _read_history(self, rows: list[Any], context: str, recv_ts: int, out: list[Decoded]) -> None:
        subject = subject_of(context)
        assert subject is not None
        what, name = subject
        listing = self._listing(name)
        if listing is None:
            return
        self._tell_history(listing, what, rows, INTERVALS_H, self._metadata_interval(name), recv_ts, out)

    def _history_bar(self, listing: Listing, stream: Bars, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        fields = items(row, "candle")
        if len(fields) < 7:
            raise BadPayload("missing_field", f"candle of {len(fields)} fields")
        opened_ms, closed_ms = timestamp_ms(fields[0]), timestamp_ms(fields[6])
        if closed_ms - opened_ms != MINUTE_MS - 1:
            raise BadPayload("out_of_bounds", f"candle of {closed_ms - opened_ms + 1} ms")
        self._bar(listing, stream, opened_ms, price(fields[4]), recv_ts, out)

    def _history_count(self, listing: Listing, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """`sumOpenInterest` is the native count on both products; only the name of its value's unit differs."""
        fields = mapping(row, "row")
        if label(fields.get("contractType", "PERPETUAL"), "contractType") != "PERPETUAL":
            return  # COIN-M: delivery contracts, or all of a pair together
        same_name(self._statistics_name(fields), listing.instrument)
        stamp_ms, contracts = timestamp_ms(need(fields, "timestamp")), coins(need(fields, "sumOpenInterest"))
        self._history_interest(listing, stamp_ms, INTEREST_MS, contracts, recv_ts, out)

    def _history_rate(self, listing: Listing, row: Any, settled: list[tuple[int, float]]) -> None:
        fields = mapping(row, "row")
        same_name(text(need(fields, "symbol")), listing.instrument)
        settled.append((timestamp_ms(need(fields, "fundingTime")), rate(need(fields, "fundingRate"))))


def is_history(context: str, parsed: Any) -> bool:
    """Whether this is a history answer; an error object is read as any other."""
    return type(parsed) is list and subject_of(context) is not None
