"""Kraken Futures as its page describes it: one ack per product, alerts that name no request, protocol pings only."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from service.simulation.iso import iso
from service.simulation.market import MarketModel, Quote
from service.simulation.protocol import (
    Answer,
    Frame,
    Hangup,
    Out,
    Protocol,
    Session,
    by_name,
    encode,
    parse,
    strings,
)  # fmt: skip
from service.simulation.venues.kraken_futures_rows import (
    INTERVALS_S,
    RESOLUTIONS,
    candles,
    instruments,
    interest,
    light,
    row,
    settled,
    ticker,
    trades,
)  # fmt: skip

SILENT_MS = 60_000  # without any frame of the client, pings included
REQUESTS_PER_S = 100
HEARTBEAT_MS = 1_000
PRIVATE_FEEDS = ("fills", "open_orders", "open_positions", "balances", "account_log", "notifications_auth")
PRODUCT_FEEDS = ("ticker", "ticker_lite", "trade")
SNAPSHOT_TRADES = 100
CHARTS = "/api/charts/v1/"
BAD_MESSAGE = "Bad websocket message"


class KrakenFutures(Protocol):
    venue = "kraken_futures"
    max_connections = 100

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"public": f"ws://{authority}/ws/v1"}, f"http://{authority}/derivatives/api/v3"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        if path != "/ws/v1":
            return None
        return Session("public", session_id, now_ms, last_in_ms=now_ms)

    def greeting(self, session: Session, now_ms: int) -> list[Out]:
        return [Frame('{"event":"info","version":1}')]

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
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
            for topic in wanted:
                feed, _, name = topic.partition(":")
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
            rows = [row(quote, now_ms, self._day(quote)) for quote in self.quotes]
            return _ok(now_ms, tickers=[*rows, {"symbol": "in_xbtusd", "last": 1.0, "lastTime": iso(now_ms)}])
        quote = self._by_name.get(name.removeprefix("/").upper())
        if name == path or not name.startswith("/"):
            return _missing(path, now_ms)
        if quote is None:
            return _unknown("symbol", now_ms)
        return _ok(now_ms, ticker=row(quote, now_ms, self._day(quote)))

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
