"""Kraken Futures as its page describes it: one ack per product, alerts that name no request, protocol pings only.

The unified socket that is to replace it is in kraken_unified.py, over the same market.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.simulation.market import MarketModel, Quote
from service.simulation.minutes import MINUTE_MS
from service.simulation.protocol import (
    Answer,
    Frame,
    Hangup,
    Out,
    Protocol,
    Session,
    by_name,
    day_volume,
    encode,
    iso,
    parse,
    strings,
    trimmed,
)  # fmt: skip
from service.simulation.quotes import Trade
from service.simulation.venues import kraken_unified as unified

SILENT_MS = 60_000  # without any frame of the client, pings included
REQUESTS_PER_S = 100
HEARTBEAT_MS = 1_000
PRIVATE_FEEDS = ("fills", "open_orders", "open_positions", "balances", "account_log", "notifications_auth")
PRODUCT_FEEDS = ("ticker", "ticker_lite", "trade")
SNAPSHOT_TRADES = 100
CHARTS = "/api/charts/v1/"
BAD_MESSAGE = "Bad websocket message"
BLOCK_EVERY = 640  # trade numbers: one second's trades in forty bring a block trade
PAGE = 2_000  # rows of an answer, measured; the documentation says 5,000
RESOLUTIONS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "12h": 720, "1d": 1440}
INTERVALS_S = (60, 300, 900, 1800, 3600, 14_400, 43_200, 86_400)
Day = tuple[float, float, float]  # price 24 h ago, highest, lowest


# -- rows, in contracts ------------------------------------------------------------------------------------------------


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


def ticker_row(quote: Quote, now_ms: int, day: Day) -> dict[str, Any]:
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


# -- the past ----------------------------------------------------------------------------------------------------------


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


# -- the server --------------------------------------------------------------------------------------------------------


class KrakenFutures(Protocol):
    venue = "kraken_futures"
    max_connections = 100

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        sockets = {"public": f"ws://{authority}/ws/v1", unified.KIND: f"ws://{authority}{unified.PATH}"}
        return sockets, f"http://{authority}/derivatives/api/v3"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        kinds = {"/ws/v1": "public", unified.PATH: unified.KIND}
        return Session(kinds[path], session_id, now_ms, last_in_ms=now_ms) if path in kinds else None

    def greeting(self, session: Session, now_ms: int) -> list[Out]:
        return [unified.status(session) if session.kind == unified.KIND else Frame('{"event":"info","version":1}')]

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        if session.kind == unified.KIND:
            return unified.received(self._by_name, session, text, now_ms)
        if session.count_in(now_ms) > REQUESTS_PER_S:
            return [Hangup(1008, "rate limit exceeded")]
        request = parse(text)
        event = request.get("event") if isinstance(request, dict) else None
        if event not in ("subscribe", "unsubscribe"):  # a JSON ping too: only protocol pings keep a socket alive
            return [_alert(BAD_MESSAGE)]
        feed = request.get("feed")
        if feed in PRIVATE_FEEDS:
            return [_alert("Failed to subscribe to authenticated feed")]
        if feed == "heartbeat":
            return self._subscription(session, event, feed, "", now_ms)
        if feed not in PRODUCT_FEEDS:
            return [_alert("Couldn't subscribe to invalid feed")]
        products = strings(request.get("product_ids"))
        if not products:
            return [_alert(BAD_MESSAGE)]
        replies: list[Out] = []
        for product in products:
            name = product.upper()
            if name in self._by_name:
                replies += self._subscription(session, event, feed, name, now_ms)
            else:
                replies.append(_alert(f"Couldn't subscribe to invalid product `{product}`"))
        return replies

    def _subscription(self, session: Session, event: str, feed: str, name: str, now_ms: int) -> list[Out]:
        topic = f"{feed}:{name}" if name else feed
        products = {"product_ids": [name]} if name else {}
        ack = Frame(encode({"event": f"{event}d", "feed": feed, **products}))
        if event == "unsubscribe":
            session.topics.pop(topic, None)
            return [ack]
        session.topics[topic] = None
        text = self._trade_snapshot(name) if feed == "trade" else self._text(topic, now_ms)
        first: list[Out] = [Frame(text, topic)]
        return [*first, ack] if self.rng.random() < 0.2 else [ack, *first]  # the ack may come after the first ticker

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        if now_ms % 1000 == 0:  # one message a second and product
            yield from unified.pushes(self._by_name, (t for t in wanted if t.startswith(unified.KIND)), now_ms)
            for topic in wanted:
                feed, _, name = topic.partition(":")
                if feed == unified.KIND:
                    continue
                if feed != "trade":
                    yield Frame(self._text(topic, now_ms), topic)
                    continue
                quote = self._by_name[name]
                for fill in quote.trades():
                    for told in trades(quote, fill):
                        yield Frame(encode(told), topic)

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        return [Hangup(1000, "idle")] if now_ms - session.last_in_ms >= SILENT_MS else []

    # -- feeds -----------------------------------------------------------------------------------------------------

    def _text(self, topic: str, now_ms: int) -> str:
        feed, _, name = topic.partition(":")
        if feed == "heartbeat":
            return encode({"feed": "heartbeat", "time": now_ms})
        quote = self._by_name[name]
        return encode(ticker(quote, now_ms, self._day(quote)) if feed == "ticker" else light(quote, self._day(quote)))

    def _day(self, quote: Quote) -> tuple[float, float, float]:
        """(price 24 h ago, highest, lowest) in the venue's unit."""
        before, high, low = self.model.state(quote.instrument.symbol).day()
        scale = quote.instrument.multiplier
        return before * scale, high * scale, low * scale

    def _trade_snapshot(self, name: str) -> str:
        """The latest trades, newest first: sent again on every subscription."""
        quote = self._by_name[name]
        quote.trades()
        rows = [told for fill in quote.recent for told in trades(quote, fill)][-SNAPSHOT_TRADES:]
        return encode({"feed": "trade_snapshot", "product_id": name, "trades": rows[::-1]})

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        if method != "GET":
            return Answer(405, encode({"result": "error", "error": "methodNotAllowed"}))
        if path == "/derivatives/api/v3/instruments":
            return _ok(now_ms, instruments=instruments(self.quotes))
        if path == "/derivatives/api/v4/historicalfundingrates":
            quote = self._by_name.get(query.get("symbol", "").upper())
            return _unknown("symbol", now_ms) if quote is None else _ok(now_ms, rates=settled(quote))
        if path.startswith(CHARTS):
            return self._charts(path.removeprefix(CHARTS).split("/"), query, now_ms)
        name = path.removeprefix("/derivatives/api/v3/tickers")
        if name == "":
            rows = [ticker_row(quote, now_ms, self._day(quote)) for quote in self.quotes]
            return _ok(now_ms, tickers=[*rows, {"symbol": "in_xbtusd", "last": 1.0, "lastTime": iso(now_ms)}])
        quote = self._by_name.get(name.removeprefix("/").upper())
        if name == path or not name.startswith("/"):
            return _missing(path, now_ms)
        if quote is None:
            return _unknown("symbol", now_ms)
        return _ok(now_ms, ticker=ticker_row(quote, now_ms, self._day(quote)))

    def _charts(self, parts: list[str], query: Mapping[str, str], now_ms: int) -> Answer:
        """`{mark|spot|trade}/{symbol}/{resolution}` and `analytics/{symbol}/open-interest`; times asked in seconds."""
        begin, end = query.get("from", query.get("since", "0")), query.get("to", str(now_ms // 1000))
        if len(parts) != 3 or parts[1] not in self._by_name or not (begin.isdecimal() and end.isdecimal()):
            return Answer(
                404, encode({"errors": [{"severity": "error", "error_class": "ENotFound", "type": "Not found"}]})
            )
        quote = self._by_name[parts[1]]
        begin_ms, end_ms = int(begin) * 1000, min(int(end) * 1000, now_ms)
        if parts[0] == "analytics":
            interval = query.get("interval", "")
            if parts[2] != "open-interest" or interval not in map(str, INTERVALS_S):
                return Answer(
                    400, encode({"result": None, "errors": [{"severity": "error", "type": "Invalid argument"}]})
                )
            return Answer(200, encode(interest(quote, begin_ms, end_ms, int(interval) // 60, now_ms)))
        if parts[0] not in ("mark", "spot", "trade") or parts[2] not in RESOLUTIONS:
            return Answer(400, encode({"errors": [{"severity": "error", "type": "Invalid argument"}]}))
        return Answer(200, encode(candles(quote, parts[0], begin_ms, end_ms, RESOLUTIONS[parts[2]])))


def _unknown(argument: str, now_ms: int) -> Answer:
    problem = {"code": 97, "message": f"Argument invalid: {argument}"}
    document = {"status": "BAD_REQUEST", "result": "error", "errors": [problem], "serverTime": iso(now_ms)}
    return Answer(400, encode(document))


def _alert(message: str) -> Frame:
    return Frame(encode({"event": "alert", "message": message}))


def _ok(now_ms: int, **content: Any) -> Answer:
    return Answer(200, encode({"result": "success", "serverTime": iso(now_ms), **content}))


def _missing(path: str, now_ms: int) -> Answer:
    document = {"timestamp": now_ms, "path": path, "status": 404, "error": "Not Found", "message": ""}
    return Answer(404, encode(document))
