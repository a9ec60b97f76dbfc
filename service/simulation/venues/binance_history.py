"""Binance's statistics and history over HTTP, both products: candles, open interest, settled funding, ratios.

``/futures/data/*`` and the funding endpoints have limits of their own, apart from the request weight (venue page).
A figure of open interest stamped T is of the end of the five minutes that begin at T, and there once they are over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.model import LongShortKind
from service.simulation.market import HOUR_MS, Quote
from service.simulation.minutes import MINUTE_MS, Price
from service.simulation.protocol import fixed, whole

STATISTICS_MS = 300_000  # all of `/futures/data` is served in five minutes
PERIODS = {"5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1h": HOUR_MS, "4h": 4 * HOUR_MS}
RATIOS: dict[str, LongShortKind] = {
    "globalLongShortAccountRatio": "account",
    "topLongShortAccountRatio": "top_account",
    "topLongShortPositionRatio": "top_position",
}
INTERVALS = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60}
_LATE_MS = 17  # settlements are stamped up to so many ms after the hour

Reply = tuple[int, Any]
_ILLEGAL: Reply = (400, {"code": -1130, "msg": "parameter is not valid."})


def bars_weight(query: Mapping[str, str]) -> int:
    """The documented weight of a page of candles."""
    limit = whole(query, "limit", 500) or 0
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def bars(quote: Quote, price: Price, query: Mapping[str, str], now_ms: int) -> Reply:
    """Candles, oldest first: from ``startTime`` on where it is given, else the newest."""
    minutes = INTERVALS.get(query.get("interval", ""))
    if minutes is None:
        return 400, {"code": -1120, "msg": "Invalid interval."}
    span = _span(query, now_ms, 500, 1500)
    if span is None:
        return _ILLEGAL
    length_ms, digits = minutes * MINUTE_MS, 8
    rows: list[list[Any]] = [
        [
            bar.open_ms, fixed(bar.open, digits), fixed(bar.high, digits), fixed(bar.low, digits),
            fixed(bar.close, digits), "0", bar.open_ms + length_ms - 1, "0", 60 * minutes, "0", "0", "0",
        ]
        for bar in quote.bars(price, span[0], span[1], minutes)
    ]  # fmt: skip
    return 200, _page(rows, query, span[2])


def interest(quote: Quote, names: Mapping[str, str], query: Mapping[str, str], now_ms: int) -> Reply:
    """Past open interest: contracts (USD-M: coins) and their value in USDT, on COIN-M in coins."""
    period_ms = PERIODS.get(query.get("period", ""))
    span = _span(query, now_ms, 30, 500)
    if period_ms is None or span is None:
        return _ILLEGAL
    inverse = quote.instrument.inverse
    rows = []
    for point in quote.past.points(span[0] + period_ms, span[1] + period_ms, period_ms):
        size = quote.instrument.native_size
        value = point.contracts * size / point.mark if inverse else point.contracts * point.mark
        rows.append(
            {
                **names,
                "sumOpenInterest": fixed(point.contracts, 8),
                "sumOpenInterestValue": fixed(value, 8),
                "timestamp": point.ts - period_ms,
            }
        )
    return 200, _page(rows, query, span[2])


def fundings(quote: Quote, query: Mapping[str, str], now_ms: int) -> Reply:
    """Settled rates, oldest first, stamped some ms after the hour."""
    span = _span(query, now_ms, 100, 1000)
    if span is None:
        return _ILLEGAL
    rows = []
    for ts, rate in quote.settlements:
        stamp = ts + ts // HOUR_MS * 7 % _LATE_MS
        if span[0] <= stamp <= span[1]:
            [mark] = [fixed(point.mark, 8) for point in quote.past.points(ts, ts)] or [""]
            rows.append(
                {
                    "symbol": quote.instrument.name,
                    "fundingTime": stamp,
                    "fundingRate": fixed(rate, 8),
                    "markPrice": mark,
                }
            )
    return 200, _page(rows, query, span[2])


def ratio(quote: Quote, names: Mapping[str, str], kind: LongShortKind, query: Mapping[str, str], now_ms: int) -> Reply:
    """The newest share of longs. COIN-M names position shares by their own name (venue page)."""
    if query.get("period") not in PERIODS or _span(query, now_ms, 30, 500) is None:
        return _ILLEGAL
    what = "Position" if kind == "top_position" and quote.instrument.inverse else "Account"
    share = quote.long_share(kind)
    row = {
        **names,
        f"long{what}": fixed(share, 4),
        f"short{what}": fixed(1 - share, 4),
        "longShortRatio": fixed(share / (1 - share), 4),
        "timestamp": now_ms // STATISTICS_MS * STATISTICS_MS,
    }
    return 200, [row]


def _span(query: Mapping[str, str], now_ms: int, default: int, most: int) -> tuple[int, int, int] | None:
    """(first, last, limit), or None for a query that the venue refuses."""
    first, last = whole(query, "startTime", 0), whole(query, "endTime", now_ms)
    limit = whole(query, "limit", default)
    if first is None or last is None or limit is None or limit <= 0 or first > last:
        return None
    return first, min(last, now_ms), min(limit, most)


def _page(rows: list[Any], query: Mapping[str, str], limit: int) -> list[Any]:
    return rows[:limit] if "startTime" in query else rows[-limit:]
