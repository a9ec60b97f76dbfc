"""OKX: the published past of a swap, for the warm start.

Endpoints (OKX API guide v5, sections "Get mark price candlesticks" and "... history", "Get index candlesticks" and
"... history", "Get contract open interest history", "Get funding rate history"):
`/api/v5/market/{mark-price,index}-candles` reach back 1,440 rows, `.../history-{mark-price,index}-candles` years; rows
[opening time, open, high, low, close, confirm], at most 100, 20 requests in 2 s (10 by older texts of the latter);
`/api/v5/rubik/stat/contracts/open-interest-history`: rows [time, contracts, coins, USD], at most 100, and
`/api/v5/public/funding-rate-history`, both 10 requests in 2 s by address *and instrument*. Bounds are exclusive.
The guide does not say of what moment of its five minutes an open interest is: taken as of their end
(``venues/history.py``).
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Decoded, Endpoints, Listing
from service.venues.contract import Request
from service.venues.emit import items, mapping, need
from service.venues.history import FUNDING_BEFORE_MS, MINUTE_MS, Bars, context_of, newest_first, pages, same_name
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.okx.trades import SWAP, OkxExtras

INTERVALS_H = (1, 2, 4, 6, 8)
ROWS = 100  # a page
RECENT_MS = 1_400 * MINUTE_MS  # below 1,440: some minutes pass between the plan and the request
OLD_WEIGHT = 2.0
INTEREST_MS = 300_000
BY_INSTRUMENT_WEIGHT = 0.5  # limited per instrument, so far apart in practice


def history(endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """Marks first, then what else is needed of the same time; newest first."""
    name = listing.instrument
    minutes = pages(since_ms, now_ms, MINUTE_MS, ROWS)
    return newest_first(
        [_bars(endpoints, "mark", "mark-price", name, name, span, now_ms) for span in minutes],
        [_interest(endpoints, name, span) for span in pages(since_ms, now_ms, INTEREST_MS, ROWS)],
        [_bars(endpoints, "index", "index", name.removesuffix(SWAP), name, span, now_ms) for span in minutes],
        [_funding(endpoints, name, since_ms)],
    )


def _bars(
    endpoints: Endpoints, what: str, candles: str, of: str, name: str, span: tuple[int, int], now_ms: int
) -> Request:
    first, last = span
    recent = first >= now_ms - RECENT_MS
    url = f"{endpoints.rest}/api/v5/market/{'' if recent else 'history-'}{candles}-candles"
    query = f"instId={of}&bar=1m&before={first - 1}&after={last + 1}&limit={ROWS}"
    return Request("GET", f"{url}?{query}", 1.0 if recent else OLD_WEIGHT, context=context_of(what, name))


def _interest(endpoints: Endpoints, name: str, span: tuple[int, int]) -> Request:
    first, last = span
    query = f"instId={name}&period=5m&begin={first - 1}&end={last + 1}&limit={ROWS}"
    url = f"{endpoints.rest}/api/v5/rubik/stat/contracts/open-interest-history?{query}"
    return Request("GET", url, BY_INSTRUMENT_WEIGHT, context=context_of("oi", name))


def _funding(endpoints: Endpoints, name: str, since_ms: int) -> Request:
    query = f"instId={name}&before={since_ms - FUNDING_BEFORE_MS - 1}&limit={ROWS}"
    url = f"{endpoints.rest}/api/v5/public/funding-rate-history?{query}"
    return Request("GET", url, BY_INSTRUMENT_WEIGHT, context=context_of("funding", name))


class OkxHistory(OkxExtras):
    """The decoder's part for it."""

    def _past_rows(self, rows: list[Any], what: str, name: str, recv_ts: int, out: list[Decoded]) -> None:
        listing = self._listing(name)
        if listing is not None:
            self._tell_history(listing, what, rows, INTERVALS_H, listing.interval_h, recv_ts, out)

    def _history_bar(self, listing: Listing, stream: Bars, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        opened, _, _, _, close, confirm = _fields(row, 6)
        if confirm not in ("0", "1"):
            raise BadPayload("unknown_shape", "confirm")
        if confirm == "1":
            self._bar(listing, stream, timestamp_ms(opened), price(close), recv_ts, out)

    def _history_count(self, listing: Listing, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        at, contracts = _fields(row, 2)
        self._history_interest(listing, timestamp_ms(at), INTEREST_MS, coins(contracts), recv_ts, out)

    def _history_rate(self, listing: Listing, row: Any, settled: list[tuple[int, float]]) -> None:
        fields = mapping(row, "data[]")
        same_name(text(need(fields, "instId")), listing.instrument)
        if need(fields, "realizedRate") != "":  # not settled yet
            settled.append((timestamp_ms(need(fields, "fundingTime")), rate(fields["realizedRate"])))


def _fields(row: Any, least: int) -> list[Any]:
    fields = items(row, "row")
    if len(fields) < least:
        raise BadPayload("missing_field", f"row of {len(fields)}")
    return fields[:least]
