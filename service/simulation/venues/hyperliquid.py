"""Hyperliquid as its page describes it: one subscription per message, a wrong coin cuts the socket, POST /info."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.simulation.market import HOUR_MS, MarketModel, Quote
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
    parse,
    trimmed,
)  # fmt: skip
from service.simulation.quotes import Trade

QUIET_MS = 60_000  # a connection to which the server has sent nothing this long is closed
_DELISTED = "SIMOLD"
REPLAYED = 30  # fills sent again to every new subscriber, without a mark
HISTORY_ROWS = 500
TRADES = "trades:"
TYPES = ("activeAssetCtx", "trades")


class Hyperliquid(Protocol):
    venue = "hyperliquid"
    max_connections = 10

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)
        self._sent: dict[str, str] = {}

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"main": f"ws://{authority}/ws"}, f"http://{authority}"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        if path != "/ws":
            return None
        return Session("main", session_id, now_ms, last_in_ms=now_ms, last_out_ms=now_ms)

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        session.count_in(now_ms)
        request = parse(text)
        if isinstance(request, dict) and request.get("method") == "ping":
            return [Frame('{"channel":"pong"}')]
        wanted = request.get("subscription") if isinstance(request, dict) else None
        method = request.get("method") if isinstance(request, dict) else None
        if method not in ("subscribe", "unsubscribe") or not isinstance(wanted, dict):
            return [_error(f"Error parsing JSON into valid websocket request: {text}")]
        kind, coin = wanted.get("type"), wanted.get("coin")
        if kind not in TYPES or not isinstance(coin, str):
            return [_error(f"Error parsing JSON into valid websocket request: {text}")]
        if coin not in self._by_name:
            return [Hangup(None)]  # measured: closed with no frame at all, and every subscription with it
        subscription = {"type": kind, "coin": coin}
        shown = encode(subscription)
        topic = TRADES + coin if kind == "trades" else coin
        if method == "unsubscribe":
            if topic not in session.topics:
                return [_error(f"Already unsubscribed: {shown}")]
            del session.topics[topic]
        elif topic in session.topics:
            return [_error(f"Already subscribed: {shown}")]
        ack = {"channel": "subscriptionResponse", "data": {"method": method, "subscription": subscription}}
        replies: list[Out] = [Frame(encode(ack))]
        if method == "subscribe":
            session.topics[topic] = None
            replies += [Frame(text, topic) for text in self._first(topic)]
        return replies

    def _first(self, topic: str) -> list[str]:
        coin = topic.removeprefix(TRADES)
        quote = self._by_name[coin]
        if coin == topic:
            return [self._context_frame(quote)]
        quote.trades()
        last = list(quote.recent)[-REPLAYED:]
        return [_trades(coin, last)] if last else []

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        if now_ms % 1000 != 0:
            return
        for topic in wanted:
            coin = topic.removeprefix(TRADES)
            quote = self._by_name[coin]
            if coin != topic:  # all fills of the blocks since the last second
                fills = quote.trades()
                if fills:
                    yield Frame(_trades(coin, fills), topic)
                continue
            text = self._context_frame(quote)
            if self._sent.get(coin) != text:
                self._sent[coin] = text
                yield Frame(text, coin)

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        return [Hangup(1000, "Inactive")] if now_ms - session.last_out_ms >= QUIET_MS else []

    def _context_frame(self, quote: Quote) -> str:
        data = {"coin": quote.instrument.name, "ctx": self._context(quote)}
        return encode({"channel": "activeAssetCtx", "data": data})

    def _context(self, quote: Quote) -> dict[str, Any]:
        item = quote.instrument
        digits = item.price_digits
        before, _, _ = self.model.state(item.symbol).day()
        volume = day_volume(quote)
        tick = 10.0**-digits
        return {
            "funding": trimmed(quote.rate, 10, 1),
            "openInterest": trimmed(quote.contracts, item.oi_digits, 1),
            "prevDayPx": trimmed(before, digits, 1),
            "dayNtlVlm": trimmed(volume * quote.mark, 2, 1),
            "premium": trimmed(quote.premium, 10, 1),
            "oraclePx": trimmed(quote.index, digits, 1),
            "markPx": trimmed(quote.mark, digits, 1),
            "midPx": trimmed(quote.mark + tick / 2, digits + 1, 1),
            "impactPxs": [trimmed(quote.mark, digits, 1), trimmed(quote.mark + tick, digits, 1)],
            "dayBaseVlm": trimmed(volume, item.oi_digits, 1),
        }

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        if path != "/info":
            return Answer(404, encode("Not found"))
        if method != "POST":
            return Answer(405, encode("Method not allowed"))
        request = parse(body)
        kind = request.get("type") if isinstance(request, dict) else None
        if kind == "meta":
            return Answer(200, encode(self._meta()))
        if kind == "metaAndAssetCtxs":
            contexts = [self._context(quote) for quote in self.quotes]
            return Answer(200, encode([self._meta(), [*contexts, self._dead_context()]]))
        if kind == "predictedFundings":
            return Answer(200, encode([self._predicted(quote, now_ms) for quote in self.quotes]))
        if kind == "fundingHistory":
            return self._history(request, now_ms)
        return Answer(422, encode("Failed to deserialize the JSON body into the target type"))

    def _history(self, request: Mapping[str, Any], now_ms: int) -> Answer:
        """Settled hours from a time on, oldest first."""
        begin_ms, end_ms = request.get("startTime"), request.get("endTime", now_ms)
        coin = request.get("coin")
        if type(begin_ms) is not int or type(end_ms) is not int or not isinstance(coin, str):
            return Answer(422, encode("Failed to deserialize the JSON body into the target type"))
        if coin not in self._by_name:
            return Answer(500, encode(None))
        rows = [
            {
                "coin": coin,
                "fundingRate": trimmed(rate, 10, 1),
                "premium": trimmed(rate * 8 - 0.0001, 10, 1),
                "time": settled_ms + 48,
            }
            for settled_ms, rate in self._by_name[coin].settlements
            if begin_ms <= settled_ms + 48 <= end_ms
        ]
        return Answer(200, encode(rows[:HISTORY_ROWS]))

    def _meta(self) -> dict[str, Any]:
        universe: list[dict[str, Any]] = [
            {
                "szDecimals": quote.instrument.oi_digits,
                "name": quote.instrument.name,
                "maxLeverage": 40,
                "marginTableId": 56,
            }
            for quote in self.quotes
        ]
        universe.append({"szDecimals": 1, "name": _DELISTED, "maxLeverage": 3, "marginTableId": 3, "isDelisted": True})
        tiers = [{"lowerBound": "0.0", "maxLeverage": 40}]
        return {
            "universe": universe,
            "marginTables": [[56, {"description": "", "marginTiers": tiers}]],
            "collateralToken": 0,
        }

    def _dead_context(self) -> dict[str, Any]:
        dead = {"funding": "0.0", "openInterest": "0.0", "prevDayPx": "0.3754", "dayNtlVlm": "0.0", "premium": None}
        prices = {"oraclePx": "0.3754", "markPx": "0.37621", "midPx": None, "impactPxs": None, "dayBaseVlm": "0.0"}
        return {**dead, **prices}

    def _predicted(self, quote: Quote, now_ms: int) -> list[Any]:
        running = now_ms // HOUR_MS * HOUR_MS  # the START of the running hour, as measured on the real venue
        row = {"fundingRate": trimmed(quote.rate, 10, 1), "nextFundingTime": running, "fundingIntervalHours": 1}
        return [quote.instrument.name, [["HlPerp", row]]]


def _trades(coin: str, fills: Iterable[Trade]) -> str:
    rows = [
        {
            "coin": coin,
            "side": "B" if trade.taker == "buy" else "A",
            "px": trimmed(trade.price, 12, 1),
            "sz": trimmed(trade.contracts, 8, 1),
            "time": trade.ts,
            "hash": f"0x{trade.number:064x}" if trade.number % 9 else f"0x{0:064x}",  # of a TWAP: all zeros
            "tid": trade.number * 977 % (1 << 50),
            "users": [f"0x{trade.number * 7 % (1 << 159):040x}", f"0x{trade.number * 11 % (1 << 159):040x}"],
        }
        for trade in fills
    ]
    return encode({"channel": "trades", "data": rows})


def _error(text: str) -> Frame:
    return Frame(encode({"channel": "error", "data": text}))
