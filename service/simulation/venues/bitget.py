"""Bitget as its page describes it: the v2 socket of tickers and trades, the v3 socket of liquidations, text pings.

Quantities are base coins on every product line, with the float noise that the venue sends. The v3 socket knows its
liquidation topic only.
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
    day_volume,
    encode,
    fixed,
    parse,
    trimmed,
)  # fmt: skip
from service.simulation.quotes import Trade
from service.simulation.venues.bitget_rest import PRODUCTS, BitgetRest, product_of

PING_WITHIN_MS = 120_000
LIFETIME_MS = 86_400_000
MESSAGES_PER_S = 10
SUBSCRIBES_PER_HOUR = 240
MAX_CHANNELS = 1000
LIQUIDATIONS_EVERY_MS = 20_000
_CHANNELS = ("ticker", "trade")


class Bitget(Protocol):
    venue = "bitget"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)
        self._lines = {
            line: [quote for quote in self.quotes if product_of(quote.instrument) == line] for line in PRODUCTS
        }
        self._waiting: dict[str, list[dict[str, str]]] = {}  # liquidations not yet pushed, by topic
        self._rest = BitgetRest(model, self.quotes)

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"public": f"ws://{authority}/v2/ws/public"}, f"http://{authority}"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        for version in ("v2", "v3"):
            if path == f"/{version}/ws/public":
                return Session(version, session_id, now_ms, last_in_ms=now_ms)
        return None

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        if session.count_in(now_ms) > MESSAGES_PER_S:
            return [
                _error(None, 30007, "request over limit, connection close", "op"),
                Hangup(1008, "Too many requests"),
            ]
        if text == "ping":
            session.ping_ms = now_ms
            return [Frame("pong")]
        request = parse(text)
        operation = request.get("op") if isinstance(request, dict) else None
        arguments = request.get("args") if isinstance(request, dict) else None
        if operation not in ("subscribe", "unsubscribe") or not isinstance(arguments, list) or not arguments:
            return [_error(None, 30003, "Illegal op", str(operation))]
        session.operations = [at for at in session.operations if at > now_ms - 3_600_000] + [now_ms]
        if len(session.operations) > SUBSCRIBES_PER_HOUR:
            return [_error(None, 30006, "Too many requests", operation)]
        replies: list[Out] = []
        for argument in arguments:
            replies += self._operate(session, operation, argument, now_ms)
        return replies

    def _operate(self, session: Session, operation: str, argument: Any, now_ms: int) -> list[Out]:
        """One ack for every argument; a bad one does not touch the others."""
        if not isinstance(argument, dict):
            return [_error(argument, 30016, "Param error", operation)]
        topic = self._topic(session.kind, argument)
        if topic is None:
            shown = ",".join(f"{key}:{value}" for key, value in argument.items())
            return [_error(argument, 30001, f"{shown} doesn't exist", operation)]
        if operation == "subscribe" and len({**session.topics, topic: None}) > MAX_CHANNELS:
            return [_error(argument, 30006, "Too many channels", operation)]
        ack: dict[str, Any] = {"event": operation, "arg": argument}
        if session.kind == "v3":
            ack["connId"] = session.connection_id
        replies: list[Out] = [Frame(encode(ack))]
        if operation == "unsubscribe":
            session.topics.pop(topic, None)
            return replies
        session.topics[topic] = None
        channel, _, name = topic.partition(":")
        if channel == "ticker":
            replies.append(Frame(self._ticker(self._by_name[name], now_ms), topic))
        elif channel == "trade":  # what was traded before comes first, the newest at the top
            quote = self._by_name[name]
            quote.trades()
            rows = [_trade(quote, trade) for trade in reversed(quote.recent)]
            replies.append(Frame(self._message("snapshot", channel, quote, rows, now_ms), topic))
        return replies

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        """Once a second, when the market has moved; the venue sends a ticker up to three times as often."""
        if now_ms % 1000 != 0:
            return
        for topic in wanted:
            channel, _, name = topic.partition(":")
            if channel == "ticker":
                yield Frame(self._ticker(self._by_name[name], now_ms), topic)
            elif channel == "trade":
                quote = self._by_name[name]
                if quote.trades():
                    rows = [_trade(quote, trade) for trade in reversed(quote.trades())]
                    yield Frame(self._message("update", channel, quote, rows, now_ms), topic)
            else:
                waiting = self._waiting.setdefault(topic, [])
                for quote in self._lines[name.upper()]:
                    waiting += [_liquidation(quote, trade) for trade in quote.liquidations()]
                if waiting and now_ms % LIQUIDATIONS_EVERY_MS == 0:
                    self.rng.shuffle(waiting)  # not in time order
                    argument = {"instType": name, "topic": channel}
                    frame = {"action": "update", "arg": argument, "data": list(waiting), "ts": now_ms}
                    waiting.clear()
                    yield Frame(encode(frame), topic)

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        if now_ms - session.opened_ms >= LIFETIME_MS:
            return [Hangup(1000, "24 hours")]
        if now_ms - max(session.opened_ms, session.ping_ms) >= PING_WITHIN_MS:
            return [Hangup(1000, "No ping in 2 minutes")]
        return []

    def _topic(self, version: str, argument: dict[str, Any]) -> str | None:
        line = argument.get("instType")
        if version == "v3":  # one channel for a whole product line, in lower case
            known = isinstance(line, str) and line.upper() in PRODUCTS and line == line.lower()
            return f"liquidation:{line}" if known and argument.get("topic") == "liquidation" else None
        channel, quote = argument.get("channel"), self._by_name.get(str(argument.get("instId")))
        if channel not in _CHANNELS or quote is None or line != product_of(quote.instrument):
            return None
        return f"{channel}:{quote.instrument.name}"

    @staticmethod
    def _message(action: str, channel: str, quote: Quote, rows: list[dict[str, Any]], now_ms: int) -> str:
        item = quote.instrument
        argument = {"instType": product_of(item), "channel": channel, "instId": item.name}
        return encode({"action": action, "arg": argument, "data": rows, "ts": now_ms})

    def _ticker(self, quote: Quote, now_ms: int) -> str:
        item = quote.instrument
        before, high, low = (value * item.multiplier for value in self.model.state(item.symbol).day())
        digits = item.price_digits
        last, volume = trimmed(quote.mark, digits), day_volume(quote) / item.multiplier
        row = {
            "instId": item.name,
            "lastPr": last,
            "bidPr": last,
            "askPr": trimmed(quote.mark + 10.0**-digits, digits),
            "bidSz": fixed(quote.contracts / 20_000, item.oi_digits),
            "askSz": fixed(quote.contracts / 15_000, item.oi_digits),
            "open24h": trimmed(before, digits),
            "high24h": trimmed(max(high, quote.mark), digits),
            "low24h": trimmed(min(low, quote.mark), digits),
            "change24h": fixed(quote.mark / before - 1, 5),
            "fundingRate": trimmed(quote.rate, 8),
            "nextFundingTime": str(quote.next_ts),
            "markPrice": last,
            "indexPrice": trimmed(quote.index, digits),
            "holdingAmount": fixed(quote.contracts, 13),
            "baseVolume": trimmed(volume, item.oi_digits),
            "quoteVolume": trimmed(volume * quote.mark, 5),
            "openUtc": trimmed(before, digits),
            "symbolType": "1",
            "symbol": item.name,
            "ts": str(now_ms),
        }
        return self._message("snapshot", "ticker", quote, [row], now_ms)

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        return self._rest.answer(method, path, query, now_ms)


def _trade(quote: Quote, trade: Trade) -> dict[str, Any]:
    item = quote.instrument
    return {
        "ts": str(trade.ts),
        "price": trimmed(trade.price, item.price_digits),
        "size": trimmed(trade.contracts, item.oi_digits),
        "side": trade.taker,
        "tradeId": str(1_235_671_063_871_070_208 + trade.number),
    }


def _liquidation(quote: Quote, trade: Trade) -> dict[str, str]:
    """The side is the position's (buy: a long was closed), the amount is in quote coins."""
    return {
        "symbol": quote.instrument.name,
        "side": "buy" if trade.liquidated == "long" else "sell",
        "price": trimmed(trade.price, 12),
        "amount": trimmed(trade.contracts * trade.price, 12),
        "ts": str(trade.ts),
    }


def _error(argument: Any, code: int, message: str, operation: str) -> Frame:
    document: dict[str, Any] = {"event": "error", "code": code, "msg": message, "op": operation}
    if argument is not None:
        document = {"event": "error", "arg": argument, **document}
    return Frame(encode(document))
