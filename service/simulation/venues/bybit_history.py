"""Bybit's trades, liquidations and history rows (venue page): newest first, both-sided interest, its odd stamps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from service.simulation.market import HOUR_MS, Quote
from service.simulation.minutes import Price
from service.simulation.protocol import fixed, trimmed, whole
from service.simulation.quotes import Trade

PERIODS = {"5min": 300_000, "15min": 900_000, "30min": 1_800_000, "1h": HOUR_MS, "4h": 4 * HOUR_MS}
INTERVALS = {"1": 1, "3": 3, "5": 5, "15": 15, "30": 30, "60": 60}
BLOCKS_ONE_IN = 97  # trades are block trades, which are no taker flow

Result = dict[str, Any] | str
"""What goes into ``result``, or the name of the parameter that is wrong."""


def trade(quote: Quote, done: Trade) -> dict[str, Any]:
    """``v``: coins, dollars on an inverse contract."""
    item = quote.instrument
    return {
        "T": done.ts,
        "s": item.name,
        "S": done.taker.capitalize(),
        "v": fixed(done.contracts, item.oi_digits),
        "p": fixed(done.price, item.price_digits),
        "L": "PlusTick" if done.taker == "buy" else "MinusTick",
        "i": f"00000000-0000-5000-8000-{done.number:012x}",
        "BT": is_block(done),
        "RPI": False,
        "seq": done.number,
    }


def is_block(done: Trade) -> bool:
    """Whether the venue marks it as a block trade; forced ones never are."""
    return done.liquidated is None and done.number % BLOCKS_ONE_IN == 0


def liquidation(quote: Quote, forced: Trade) -> dict[str, Any]:
    """The side is the position's: Buy means that a long was closed."""
    item = quote.instrument
    return {
        "T": forced.ts,
        "s": item.name,
        "S": "Buy" if forced.liquidated == "long" else "Sell",
        "v": fixed(forced.contracts, item.oi_digits),
        "p": fixed(forced.price, item.price_digits),
    }


def _bars(price: Price) -> Callable[[Quote, Mapping[str, str], int], Result]:
    def bars(quote: Quote, query: Mapping[str, str], now_ms: int) -> Result:
        minutes = INTERVALS.get(query.get("interval", ""))
        first, last = whole(query, "start", 0), whole(query, "end", now_ms)
        limit = whole(query, "limit", 200)
        if minutes is None:
            return "interval"
        if first is None or last is None or limit is None or not 0 < limit <= 1000:
            return "limit"
        digits = quote.instrument.price_digits
        rows = [
            [str(bar.open_ms), *(fixed(value, digits) for value in (bar.open, bar.high, bar.low, bar.close))]
            for bar in quote.bars(price, first, last, minutes)
        ]
        return {"list": rows[::-1][:limit]}

    return bars


def _interest(quote: Quote, query: Mapping[str, str], now_ms: int) -> Result:
    """As of each stamp; the oldest row of a page is stamped in seconds (seen in 2026)."""
    period_ms = PERIODS.get(query.get("intervalTime", ""))
    first, last = whole(query, "startTime", 0), whole(query, "endTime", now_ms)
    limit, skipped = whole(query, "limit", 50), whole(query, "cursor", 0)
    if period_ms is None:
        return "intervalTime"
    if first is None or last is None or limit is None or skipped is None or not 0 < limit <= 200:
        return "limit"
    digits = quote.instrument.oi_digits
    points = quote.past.points(first, last, period_ms)[::-1]
    page = points[skipped : skipped + limit]
    rows = [
        {
            "openInterest": fixed(2 * point.contracts, 8),
            "singleOpenInterest": fixed(point.contracts, digits),
            "timestamp": str(point.ts if place + 1 < len(page) else point.ts // 1000),
        }
        for place, point in enumerate(page)
    ]
    return {"list": rows, "nextPageCursor": str(skipped + limit) if skipped + limit < len(points) else ""}


def _fundings(quote: Quote, query: Mapping[str, str], now_ms: int) -> Result:
    """A start without an end is refused."""
    first, last, limit = whole(query, "startTime", 0), whole(query, "endTime", now_ms), whole(query, "limit", 200)
    if "startTime" in query and "endTime" not in query:
        return "endTime"
    if first is None or last is None or limit is None or not 0 < limit <= 200:
        return "limit"
    rows = [
        {"symbol": quote.instrument.name, "fundingRate": trimmed(rate, 8), "fundingRateTimestamp": str(ts)}
        for ts, rate in reversed(quote.settlements)
        if first <= ts <= last
    ]
    return {"list": rows[:limit]}


def _ratio(quote: Quote, query: Mapping[str, str], now_ms: int) -> Result:
    """The newest share of accounts; contracts settled in USDC have none."""
    period_ms, limit = PERIODS.get(query.get("period", "")), whole(query, "limit", 50)
    if period_ms is None:
        return "period"
    if limit is None or not 0 < limit <= 500 or quote.instrument.quote == "USDC":
        return "symbol"
    share = quote.long_share("account")
    row = {
        "symbol": quote.instrument.name,
        "buyRatio": fixed(share, 4),
        "sellRatio": fixed(1 - share, 4),
        "timestamp": str(now_ms // period_ms * period_ms),
    }
    return {"list": [row], "nextPageCursor": ""}


ENDPOINTS: dict[str, Callable[[Quote, Mapping[str, str], int], Result]] = {
    "mark-price-kline": _bars("mark"),
    "index-price-kline": _bars("index"),
    "open-interest": _interest,
    "funding/history": _fundings,
    "account-ratio": _ratio,
}
