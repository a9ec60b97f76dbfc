"""Kraken Futures rows of the simulated server: instruments, tickers, trades and the past, in contracts. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from service.simulation.iso import iso
from service.simulation.market import Quote
from service.simulation.minutes import MINUTE_MS
from service.simulation.protocol import day_volume, trimmed
from service.simulation.quotes import Trade

BLOCK_EVERY = 640  # trade numbers: one second's trades in forty bring a block trade
PAGE = 2_000  # rows of an answer, measured; the documentation says 5,000
RESOLUTIONS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "12h": 720, "1d": 1440}
INTERVALS_S = (60, 300, 900, 1800, 3600, 14_400, 43_200, 86_400)

Day = tuple[float, float, float]  # price 24 h ago, highest, lowest


def ticker(quote: Quote, now_ms: int, day: Day) -> dict[str, Any]:
    """A message of the feed: always a full snapshot."""
    item, mark, index = quote.instrument, quote.mark, quote.index
    # In force for the running hour, as fixed when the last one ended; the prediction is the running estimate.
    relative, predicted = quote.told_rate, quote.rate
    before, high, low = day
    volume, turnover = _volume(quote)
    return {
        "time": now_ms,
        "product_id": item.name,
        "funding_rate": _absolute(quote, relative),
        "funding_rate_prediction": _absolute(quote, predicted),
        "relative_funding_rate": relative,
        "relative_funding_rate_prediction": predicted,
        "next_funding_rate_time": quote.next_ts,
        "leverage": "50x",
        "premium": round(quote.premium * 100, 1),
        "feed": "ticker",
        "bid": mark,
        "ask": round(mark + 10.0**-item.price_digits, item.price_digits),
        "bid_size": round(quote.contracts / 8000, item.oi_digits),
        "ask_size": round(quote.contracts / 9000, item.oi_digits),
        "volume": volume,
        "dtm": 0,
        "index": index,
        "last": mark,
        "change": round((mark / before - 1) * 100, 2),
        "suspended": False,
        "tag": "perpetual",
        "pair": f"{item.base}:USD",
        "openInterest": quote.contracts,  # of one dollar (PI) or one coin (PF)
        "markPrice": mark,
        "maturityTime": 0,
        "post_only": False,
        "volumeQuote": turnover,
        "open": round(before, item.price_digits),
        "high": round(max(high, mark), item.price_digits),
        "low": round(min(low, mark), item.price_digits),
    }


def light(quote: Quote, day: Day) -> dict[str, Any]:
    """The light ticker: neither mark nor open interest."""
    item = quote.instrument
    return {
        "feed": "ticker_lite",
        "product_id": item.name,
        "bid": quote.mark,
        "ask": round(quote.mark + 10.0**-item.price_digits, item.price_digits),
        "change": (quote.mark / day[0] - 1) * 100,
        "premium": round(quote.premium * 100, 1),
        "volume": _volume(quote)[0],
        "tag": "perpetual",
        "pair": f"{item.base}:USD",
        "dtm": 0,
        "maturityTime": 0,
    }


def row(quote: Quote, now_ms: int, day: Day) -> dict[str, Any]:
    """A ticker over HTTP: its funding is absolute only."""
    told = ticker(quote, now_ms, day)
    same = ("last", "tag", "markPrice", "bid", "ask", "volumeQuote", "openInterest", "suspended")
    return {
        "symbol": quote.instrument.name,
        "lastTime": iso(now_ms),
        "pair": f"{_plain(quote)}:USD",
        **{key: told[key] for key in same},
        "bidSize": told["bid_size"],
        "askSize": told["ask_size"],
        "vol24h": told["volume"],
        "open24h": told["open"],
        "high24h": told["high"],
        "low24h": told["low"],
        "fundingRate": told["funding_rate"],
        "fundingRatePrediction": told["funding_rate_prediction"],
        "indexPrice": told["index"],
        "postOnly": False,
        "change24h": told["change"],
    }


def trades(quote: Quote, fill: Trade) -> list[dict[str, Any]]:
    """Messages of the feed for one fill: now and then a block trade along with it, which is none of the book's."""
    name = quote.instrument.name
    forced = "termination" if fill.number % 5 == 0 else "liquidation"
    told: dict[str, Any] = {
        "feed": "trade",
        "product_id": name,
        "uid": f"{zlib.crc32(name.encode()):08x}-0000-4000-8000-{fill.number * 2:012x}",
        "side": fill.taker,
        "type": "fill" if fill.liquidated is None else forced,
        "seq": fill.number * 2,
        "time": fill.ts,
        "qty": fill.contracts,
        "price": fill.price,
    }
    if fill.number % BLOCK_EVERY != 0:
        return [told]
    uid, quantity = f"{told['uid'][:-12]}{fill.number * 2 + 1:012x}", round(fill.contracts * 40, 6)
    return [told, {**told, "uid": uid, "seq": fill.number * 2 + 1, "type": "block", "qty": quantity}]


def instruments(quotes: Sequence[Quote]) -> list[dict[str, Any]]:
    """All instruments, and what a client must leave out: a dated future, and a market on its way out."""
    rows = [_instrument(quote) for quote in quotes]
    if rows:
        dated = {"symbol": "FF_XBTUSD_261225", "type": "flexible_futures", "lastTradingTime": "2026-12-25T08:00:00Z"}
        leaving = {"symbol": "PF_SIMOLDUSD", "type": "flexible_futures", "base": "SIMOLD", "pair": "SIMOLD:USD"}
        rows += [{**rows[0], **dated}, {**rows[0], **leaving, "postOnly": True, "tradeable": False}]
    return rows


def _instrument(quote: Quote) -> dict[str, Any]:
    item = quote.instrument
    kind, unit = ("futures_inverse", "contracts") if item.inverse else ("flexible_futures", "numNonContractUnits")
    begin: dict[str, Any] = {"symbol": item.name, "type": kind}
    if item.inverse:
        begin["underlying"] = f"rr_{item.base}usd".lower()
    return {
        **begin,
        "tickSize": 10.0**-item.price_digits,
        "contractSize": 1,
        "tradeable": True,
        "impactMidSize": 1.0,
        "maxPositionSize": 1_000_000.0,
        "openingDate": "2022-03-22T13:00:00Z",
        "marginLevels": [{unit: 0, "initialMargin": 0.02, "maintenanceMargin": 0.01}],
        "fundingRateCoefficient": 8,
        "maxRelativeFundingRate": item.cap,
        "isin": "GB00SIMULATE",
        "contractValueTradePrecision": item.oi_digits,
        "postOnly": False,
        "feeScheduleUid": "00000000-0000-4000-8000-000000000001",
        "mtf": True,
        "base": _plain(quote),
        "quote": "USD",
        "pair": f"{_plain(quote)}:USD",
        "category": "Layer 1",
        "tradfi": False,
        "isExpired": False,
    }


# -- the past ------------------------------------------------------------------------------------------------------


def settled(quote: Quote) -> list[dict[str, Any]]:
    """Rates by hour, oldest first and the running one too, stamped with the beginning of the hour they rule."""
    interval_ms = quote.instrument.interval_h * 60 * MINUTE_MS
    hours = [*quote.settlements, (quote.next_ts, quote.told_rate)]
    return [
        {
            "timestamp": iso(at - interval_ms).replace(".000Z", "Z"),
            "fundingRate": _absolute(quote, rate),
            "relativeFundingRate": rate,
        }
        for at, rate in hours
    ]


def candles(quote: Quote, kind: str, begin_ms: int, end_ms: int, minutes: int) -> dict[str, Any]:
    """Candles that open in [begin, end], oldest first, the running one among them; `spot` is the index."""
    bars = quote.bars("index" if kind == "spot" else "mark", begin_ms, end_ms, minutes)
    rows = [
        {
            "time": bar.open_ms,
            **{name: trimmed(getattr(bar, name), 12) for name in ("open", "high", "low", "close")},
            "volume": 0 if kind != "trade" else quote.instrument.oi_contracts / 900,
        }
        for bar in bars
    ]
    return {"candles": rows[:PAGE], "more_candles": len(rows) > PAGE}


def interest(quote: Quote, begin_ms: int, end_ms: int, minutes: int, now_ms: int) -> dict[str, Any]:
    """Open interest: [open, high, low, close] of buckets that open in [begin, end], stamped in seconds."""
    length_ms = minutes * MINUTE_MS
    stamps: list[int] = []
    data: list[list[str]] = []
    open_ms = -(-begin_ms // length_ms) * length_ms
    while open_ms <= end_ms and len(stamps) < PAGE:
        values = [point.contracts for point in quote.past.points(open_ms, open_ms + length_ms)]
        if values:
            if open_ms + length_ms > now_ms:
                values.append(quote.contracts)
            stamps.append(open_ms // 1000)
            bar = (values[0], max(values), min(values), values[-1])
            data.append([trimmed(value, quote.instrument.oi_digits) for value in bar])
        open_ms += length_ms
    return {"result": {"timestamp": stamps, "data": data, "more": open_ms <= end_ms}, "errors": []}


def _volume(quote: Quote) -> tuple[float, float]:
    """(in contracts, in dollars) of 24 hours."""
    native = day_volume(quote) / quote.instrument.multiplier
    usd = round(native * quote.mark, 4)
    return (usd if quote.instrument.inverse else round(native, 4)), usd


def _plain(quote: Quote) -> str:
    """Newer answers say BTC where names keep XBT."""
    base = quote.instrument.base
    return "BTC" if base == "XBT" else base


def _absolute(quote: Quote, relative: float) -> float:
    """USD per coin (PF), or coins per dollar (PI), and hour."""
    return relative / quote.index if quote.instrument.inverse else relative * quote.index
