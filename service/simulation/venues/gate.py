"""Gate's futures as its page describes them: USDT and BTC sockets, a contract a request, internal prints, JSON pings.

Sizes are sent as a client gets them that has set the size header: decimal text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

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
    trimmed,
)  # fmt: skip
from service.simulation.quotes import Trade
from service.simulation.venues.gate_rest import PREFIX, GateRest, statistics, ticker

SETTLES = ("usdt", "btc")
ALONE_MS = 30_000  # a socket without subscriptions is closed
EVERYTHING = "!all"
_CHANNELS = {
    "futures.tickers": 1, "futures.trades": 1, "futures.public_liquidates": 1, "futures.contract_stats": 2,
}  # fmt: skip
_PERIODS = {"1m": 60_000, "5m": 300_000}


class Gate(Protocol):
    venue = "gate"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._listed = {
            settle: by_name(quote for quote in self.quotes if quote.instrument.inverse is (settle == "btc"))
            for settle in SETTLES
        }
        self._rest = GateRest(model, self._listed)

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {settle: f"ws://{authority}/v4/ws/{settle}" for settle in SETTLES}, f"http://{authority}{PREFIX}"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        for settle in SETTLES:
            if path == f"/v4/ws/{settle}":
                return Session(settle, session_id, now_ms, last_in_ms=now_ms)
        return None

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        session.count_in(now_ms)
        request = parse(text)
        if not isinstance(request, dict):
            return [self._reply(session, {"channel": "", "event": ""}, now_ms, 1, "Invalid request body format")]
        channel, event = request.get("channel"), request.get("event")
        if channel == "futures.ping":
            pong = {"time": now_ms // 1000, "time_ms": now_ms, "conn_id": session.connection_id}
            return [Frame(encode({**pong, "channel": "futures.pong", "event": "", "result": None}))]
        payload = strings(request.get("payload"))
        if event not in ("subscribe", "unsubscribe") or channel not in _CHANNELS or not payload:
            return [self._reply(session, request, now_ms, 2, f"unknown channel {channel}")]
        topics = self._topics(session.kind, channel, payload)
        if topics is None:  # one unknown contract fails the whole request
            return [self._reply(session, request, now_ms, 2, f"unknown contract {','.join(payload)}")]
        for topic in topics:
            if event == "subscribe":
                session.topics[topic] = None
            else:
                session.topics.pop(topic, None)
        return [self._reply(session, request, now_ms)]

    def _topics(self, settle: str, channel: str, payload: list[str]) -> list[str] | None:
        listed = self._listed[settle]
        if channel == "futures.contract_stats":
            known = len(payload) == 2 and payload[0] in listed and payload[1] in _PERIODS
            return [f"{settle}|{channel}|{payload[0]}|{payload[1]}"] if known else None
        everything = channel == "futures.public_liquidates" and payload == [EVERYTHING]
        if not everything and any(name not in listed for name in payload):
            return None
        return [f"{settle}|{channel}|{name}" for name in payload]

    @staticmethod
    def _reply(
        session: Session, request: dict[str, Any], now_ms: int, code: int | None = None, message: str = ""
    ) -> Frame:
        number = {"id": request["id"]} if "id" in request else {}
        error = {} if code is None else {"error": {"code": code, "message": message}}
        document = {
            "time": now_ms // 1000,
            "time_ms": now_ms,
            **number,
            "conn_id": session.connection_id,
            "trace_id": f"{session.connection_id}{now_ms:x}",
            "channel": request.get("channel"),
            "event": request.get("event"),
            "payload": request.get("payload"),
            **error,
            "result": {"status": "success" if code is None else "fail"},
        }
        return Frame(encode(document))

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        if now_ms % 1000 != 0:
            return
        for topic in wanted:
            settle, channel, name, *period = topic.split("|")
            listed = self._listed[settle]
            if period:
                if now_ms % _PERIODS[period[0]] == 0:
                    row = statistics(listed[name], now_ms // _PERIODS[period[0]] * _PERIODS[period[0]], True)
                    yield Frame(_message(channel, row, now_ms), topic)
            elif channel == "futures.tickers":
                yield Frame(_message(channel, [ticker(self.model, listed[name], now_ms)], now_ms), topic)
            elif channel == "futures.trades":
                rows = self._trades(listed[name])
                if rows:
                    yield Frame(_message(channel, rows, now_ms), topic)
            else:
                quotes = list(listed.values()) if name == EVERYTHING else [listed[name]]
                rows = [_liquidation(quote, trade) for quote in quotes for trade in quote.liquidations()]
                if rows:
                    yield Frame(_message(channel, rows, now_ms), topic)

    def _trades(self, quote: Quote) -> list[dict[str, Any]]:
        """Takers' trades; of some liquidations also what the insurance fund took over, marked as internal."""
        rows = []
        for trade in quote.trades():
            row = _trade(quote, trade)
            rows.append(row)
            if trade.liquidated is not None and trade.number % 2 == 0:
                rows.append({**row, "id": row["id"] + 1, "is_internal": True})
        return rows

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        if not session.topics and now_ms - session.opened_ms >= ALONE_MS:
            return [Hangup(1000, "no subscription")]
        return []

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        return self._rest.answer(method, path, query, now_ms)


def _message(channel: str, result: Any, now_ms: int) -> str:
    head = {"time": now_ms // 1000, "time_ms": now_ms, "channel": channel, "event": "update"}
    return encode({**head, "result": result})


def _trade(quote: Quote, trade: Trade) -> dict[str, Any]:
    """A positive size is a taker's buy. ``create_time`` is in seconds, ``create_time_ms`` in milliseconds."""
    size = trimmed(trade.contracts, quote.instrument.oi_digits)
    return {
        "id": trade.number * 2,
        "size": size if trade.taker == "buy" else f"-{size}",
        "create_time": trade.ts // 1000,
        "create_time_ms": trade.ts,
        "price": trimmed(trade.price, quote.instrument.price_digits),
        "contract": quote.instrument.name,
    }


def _liquidation(quote: Quote, trade: Trade) -> dict[str, Any]:
    """Signed as the order (negative: sold, a long was closed), as implementers read the undocumented sign."""
    size = trimmed(trade.contracts, quote.instrument.oi_digits)
    return {
        "price": trimmed(trade.price, quote.instrument.price_digits),
        "size": size if trade.taker == "buy" else f"-{size}",
        "time": trade.ts,
        "contract": quote.instrument.name,
    }
