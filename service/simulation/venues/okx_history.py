"""OKX's published past on the simulated server: candles of mark and index, open interest, funding, ratios.

Shapes of the API guide v5: arrays of text, newest first; `after` asks for what is older than a time, `before` for what
is newer, both exclusive; so are `begin` and `end` of the trading statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.model import LongShortKind
from service.simulation.market import HOUR_MS, Quote
from service.simulation.minutes import MINUTE_MS, Point, Price
from service.simulation.protocol import fixed, trimmed

BARS = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1H": 60, "2H": 120, "4H": 240}
PERIODS = {"5m": 5, "15m": 15, "30m": 30, "1H": 60, "2H": 120, "4H": 240}
PAGE = 100
RECENT_ROWS = 1_440  # how far candles reach without "history-" in their path
CANDLES: dict[str, Price] = {
    "mark-price-candles": "mark", "history-mark-price-candles": "mark",
    "index-candles": "index", "history-index-candles": "index",
}  # fmt: skip
RATIOS: dict[str, LongShortKind] = {
    "long-short-account-ratio-contract": "account",
    "long-short-account-ratio-contract-top-trader": "top_account",
    "long-short-position-ratio-contract-top-trader": "top_position",
}
STATISTICS = (*RATIOS, "open-interest-history", "taker-volume-contract")

Rows = list[Any] | tuple[str, str]  # or a refusal: code, message


def candles(name: str, quote: Quote | None, query: Mapping[str, str], now_ms: int) -> Rows:
    """One of :data:`CANDLES`; the running candle is not confirmed."""
    minutes = BARS.get(query.get("bar", "1m"))
    span = _span(query, "before", "after", now_ms)
    limit = _limit(query, PAGE)
    if quote is None:
        return "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist."
    if minutes is None:
        return "51000", "Parameter bar error"
    if span is None or limit is None:
        return "51000", "Parameter before, after or limit error"
    digits = quote.instrument.price_digits
    begin_ms, end_ms = span
    if not name.startswith("history-"):
        begin_ms = max(begin_ms, now_ms - RECENT_ROWS * minutes * MINUTE_MS)
    bars = quote.bars(CANDLES[name], begin_ms, end_ms, minutes)
    return [
        [
            str(bar.open_ms),
            *(trimmed(value, digits) for value in (bar.open, bar.high, bar.low, bar.close)),
            "1" if bar.closed else "0",
        ]
        for bar in reversed(bars[-limit:])
    ]


def funding(quote: Quote, query: Mapping[str, str], now_ms: int) -> Rows:
    """Settled rates, newest first."""
    span, limit = _span(query, "before", "after", now_ms), _limit(query, 400)
    if span is None or limit is None:
        return "51000", "Parameter before, after or limit error"
    rows = [
        {
            "formulaType": "withRate",
            "fundingRate": fixed(rate, 16),
            "fundingTime": str(settled_ms),
            "instId": quote.instrument.name,
            "instType": "SWAP",
            "method": "current_period",
            "realizedRate": fixed(rate, 16),
        }
        for settled_ms, rate in quote.settlements
        if span[0] <= settled_ms <= span[1]
    ]
    return rows[::-1][:limit]


def statistics(name: str, quote: Quote, query: Mapping[str, str], now_ms: int) -> Rows:
    """One of :data:`STATISTICS`."""
    minutes = PERIODS.get(query.get("period", "5m"))
    span, limit = _span(query, "begin", "end", now_ms), _limit(query, PAGE)
    if minutes is None:
        return "51000", "Parameter period error"
    if span is None or limit is None:
        return "51000", "Parameter begin, end or limit error"
    length_ms = minutes * MINUTE_MS
    if name in RATIOS:  # only the present one is known here
        share = quote.long_share(RATIOS[name])
        at_ms = now_ms // length_ms * length_ms
        return [[str(at_ms), trimmed(share / (1 - share), 4)]] if span[0] <= at_ms <= span[1] else []
    points = quote.past.points(span[0], span[1], length_ms)[-limit:][::-1]
    if name == "open-interest-history":
        return [_interest(quote, point) for point in points]
    unit = query.get("unit", "1")
    return [_taken(quote, point, unit, minutes) for point in points]


def _interest(quote: Quote, point: Point) -> list[str]:
    """[time, contracts, coins, dollars] at the time."""
    item = quote.instrument
    size = point.contracts * item.native_size
    coins, usd = (size / point.mark, size) if item.inverse else (size, size * point.mark)
    return [str(point.ts), trimmed(point.contracts, item.oi_digits), trimmed(coins, 10), trimmed(usd, 8)]


def _taken(quote: Quote, point: Point, unit: str, minutes: int) -> list[str]:
    """[time, sold, bought]: a plausible turnover, in coins (0), contracts (1) or dollars (2)."""
    _, contracts, coins, usd = _interest(quote, point)
    whole = float({"0": coins, "2": usd}.get(unit, contracts)) * minutes / (1.4 * 24 * HOUR_MS / MINUTE_MS)
    share = quote.long_share("account")
    return [str(point.ts), trimmed(whole * (1 - share), 4), trimmed(whole * share, 4)]


def _span(query: Mapping[str, str], newer: str, older: str, now_ms: int) -> tuple[int, int] | None:
    """[first, last] in ms that a request asks for; None where a bound is no number."""
    first, last = query.get(newer, "-1"), query.get(older, str(now_ms + 1))
    if not (first.removeprefix("-").isdecimal() and last.isdecimal()):
        return None
    return int(first) + 1, min(int(last) - 1, now_ms)


def _limit(query: Mapping[str, str], most: int) -> int | None:
    text = query.get("limit", str(PAGE))
    return min(int(text), most) if text.isdecimal() and int(text) > 0 else None


def known(path: str) -> str | None:
    """The name of the candles or statistics under a path; None if it is none of these."""
    for prefix, names in _PATHS:
        name = path.removeprefix(prefix)
        if name != path and name in names:
            return name
    return None


_PATHS: Sequence[tuple[str, Sequence[str]]] = (
    ("/api/v5/market/", tuple(CANDLES)),
    ("/api/v5/public/", ("funding-rate-history",)),
    ("/api/v5/rubik/stat/contracts/", STATISTICS),
    ("/api/v5/rubik/stat/", ("taker-volume-contract",)),
)
