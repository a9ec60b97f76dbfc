"""Lighter as its page describes it: a snapshot as acknowledgement, whole rows of changed markets, pings both ways."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import sin
from typing import Any

from service.simulation.market import HOUR_MS, MarketModel, Quote
from service.simulation.protocol import (
    Answer,
    Frame,
    Hangup,
    Out,
    Protocol,
    Session,
    day_volume,
    encode,
    fixed,
    parse,
    whole,
)  # fmt: skip
from service.simulation.quotes import Trade

STATISTICS = "market_stats:all"
TRADE = "trade:"
PING_MS = 60_000  # the server's own
IDLE_MS = 120_000  # a client that has sent nothing for this long is cut
MESSAGES, MESSAGES_MS = 200, 60_000  # of a client
SUBSCRIPTIONS = 500
REPLAYED = 50  # trades in the answer to a subscription
HISTORY_ROWS = 100
UNLIMITED = "72057594037927936.000000"
# What else stands in the list, and no field says so: (id, symbol, price, coins of open interest).
NO_COINS = ((2000, "TSLA", 412.5, 21_000.0), (2001, "XAU", 4_205.5, 3_100.0), (2002, "DASH", 231.75, 4_400.0))
RETIRED = 2003  # the first coin's market from before it was listed again: its last open interest stays
SPOT = 2048


@dataclass(slots=True, eq=False)
class _Session(Session):
    asked_ms: int = 0  # of a ping of ours that has not been answered


class Lighter(Protocol):
    venue = "lighter"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_id = {_id(quote): quote for quote in self.quotes}
        self._sent: dict[str, Any] = {}

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"stream": f"ws://{authority}/stream"}, f"http://{authority}/api/v1"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        if path != "/stream":
            return None
        return _Session("stream", session_id, now_ms, last_in_ms=now_ms, ping_ms=now_ms)

    def greeting(self, session: Session, now_ms: int) -> list[Out]:
        return [Frame(encode({"session_id": session.connection_id, "type": "connected"}))]

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        assert isinstance(session, _Session)
        session.last_in_ms = now_ms
        session.operations = [at for at in session.operations if at > now_ms - MESSAGES_MS] + [now_ms]
        if len(session.operations) > MESSAGES:
            return [_error(30009, "Too Many Websocket Messages!")]
        request = parse(text)
        kind = request.get("type") if isinstance(request, dict) else None
        if kind == "ping":
            return [Frame('{"type":"pong"}')]
        if kind == "pong":
            session.asked_ms = 0
            return []
        channel = request.get("channel") if isinstance(request, dict) else None
        if kind not in ("subscribe", "unsubscribe") or not isinstance(channel, str):
            return [_error(30001, "Invalid Type")]
        topic = channel.replace("/", ":", 1) if ":" not in channel else ""
        market = topic.removeprefix(TRADE)
        known = market != topic and market.isascii() and market.isdigit() and int(market) in self._by_id
        if topic != STATISTICS and not known:
            return [_error(30005, "Invalid Channel:  (marketId)")]
        if kind == "unsubscribe":
            if topic not in session.topics:
                return [_error(30002, f"Not Subscribed to : {topic}")]
            del session.topics[topic]
            return [Frame(encode({"type": "unsubscribed", "channel": topic}))]
        if topic in session.topics:
            return [_error(30003, f"Already Subscribed to : {topic}")]
        if len(session.topics) >= SUBSCRIPTIONS:
            return [_error(30010, "Too Many Subscriptions")]
        session.topics[topic] = None
        if topic == STATISTICS:
            rows = self._rows(now_ms)
            self._sent = self._sent or rows
            return [Frame(_statistics("subscribed", rows, now_ms), topic)]
        quote = self._by_id[int(market)]
        quote.trades()
        return [Frame(_trades("subscribed", topic, reversed(list(quote.recent)[-REPLAYED:])), topic)]

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        for topic in wanted:
            if topic == STATISTICS:
                rows = self._rows(now_ms)
                changed = {key: row for key, row in rows.items() if self._sent.get(key) != row}
                self._sent = rows
                if changed:
                    yield Frame(_statistics("update", changed, now_ms), topic)
            elif now_ms % 1000 == 0:
                fills = self._by_id[int(topic.removeprefix(TRADE))].trades()
                if fills:
                    yield Frame(_trades("update", topic, fills), topic)

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        """A client must send something every two minutes, and answer pings."""
        assert isinstance(session, _Session)
        if now_ms - session.last_in_ms >= IDLE_MS or (session.asked_ms and now_ms - session.asked_ms >= PING_MS):
            return [Hangup(1000, "no ping")]
        if now_ms - session.ping_ms < PING_MS:
            return []
        session.ping_ms = session.asked_ms = now_ms
        return [Frame('{"type":"ping"}')]

    # -- market statistics -----------------------------------------------------------------------------------------

    def _rows(self, now_ms: int) -> dict[str, Any]:
        rows = {str(market): self._row(market, quote, now_ms) for market, quote in self._by_id.items()}
        if self.quotes:
            rows[str(RETIRED)] = self._retired()
        for market, symbol, price, coins in NO_COINS:
            now = price * (1 + 0.002 * sin(now_ms / 600_000))
            rows[str(market)] = _row(symbol, market, now * 1.0001, now, coins, 0.0, 2, now_ms)
        return rows

    def _row(self, market: int, quote: Quote, now_ms: int) -> dict[str, Any]:
        item = quote.instrument
        _, high, low = self.model.state(item.symbol).day()
        row = _row(item.base, market, quote.index, quote.mark, quote.contracts, quote.rate, item.price_digits, now_ms)
        volume = day_volume(quote)
        return row | {
            "funding_rate": fixed((quote.settlements[-1][1] if quote.settlements else 0.0) * 100, 6),
            "daily_base_token_volume": volume,
            "daily_quote_token_volume": volume * quote.price,
            "daily_price_low": low,
            "daily_price_high": high,
        }

    def _retired(self) -> dict[str, Any]:
        first = self.quotes[0].instrument
        return _row(first.base, RETIRED, 101.5, 102.5, first.oi_contracts, 0.0, 2, self.quotes[0].next_ts)

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        if method == "GET" and path == "/api/v1/orderBookDetails":
            details = [_detail(market, quote) for market, quote in self._by_id.items()]
            if self.quotes:
                first = self.quotes[0].instrument
                details.append(_described(first.base, RETIRED, "inactive", 102.5, first.oi_contracts, 0.0, 2, 2))
            details += [
                _described(symbol, market, "active", price, coins, coins * 0.3, 2, 3)
                for market, symbol, price, coins in NO_COINS
            ]
            spot = {"symbol": "ETH/USDC", "market_id": SPOT, "market_type": "spot", "status": "active"}
            return Answer(200, encode({"code": 200, "order_book_details": details, "spot_order_book_details": [spot]}))
        if method == "GET" and path == "/api/v1/funding-rates":
            return Answer(200, encode({"code": 200, "funding_rates": self._rates()}))
        if method == "GET" and path == "/api/v1/fundings":
            return self._fundings(query)
        return Answer(404, encode({"code": 404, "message": "not found"}))

    def _rates(self) -> list[dict[str, Any]]:
        """Of 8 h, fractions; those of other exchanges stand beside the venue's own."""
        return [
            {"market_id": market, "exchange": exchange, "symbol": quote.instrument.base, "rate": round(rate, 8)}
            for market, quote in self._by_id.items()
            for exchange, rate in (("binance", 0.0001), ("lighter", quote.rate * 8), ("hyperliquid", -0.0002))
        ]

    def _fundings(self, query: Mapping[str, str]) -> Answer:
        """Settled hours, oldest first; times in seconds, rates in percent without a sign."""
        begin_s, end_s = whole(query, "start_timestamp", 0), whole(query, "end_timestamp", 0)
        market, count = whole(query, "market_id", -1), whole(query, "count_back", 0)
        quote = None if market is None else self._by_id.get(market)
        if query.get("resolution") != "1h" or quote is None or begin_s is None or end_s is None or count is None:
            return Answer(400, encode({"code": 20001, "message": "invalid param"}))
        rows = []
        for settled_ms, rate in quote.settlements:
            if begin_s <= settled_ms // 1000 <= end_s:
                found = quote.past.points(settled_ms, settled_ms)
                price = found[0].index if found else quote.index
                rows.append(
                    {
                        "timestamp": settled_ms // 1000,
                        "value": fixed(abs(rate) * price, 8),
                        "rate": fixed(abs(rate) * 100, 6),
                        "direction": "short" if rate < 0 else "long",
                    }
                )
        most = min(count, HISTORY_ROWS) if count else HISTORY_ROWS
        return Answer(200, encode({"code": 200, "resolution": "1h", "fundings": rows[-most:]}))


def _id(quote: Quote) -> int:
    return int(quote.instrument.name.rpartition("-")[2])


def _row(
    symbol: str, market: int, index: float, mark: float, coins: float, rate: float, digits: int, now_ms: int
) -> dict[str, Any]:
    """``rate``: a fraction per hour; the venue says percent. Two decimals more than the venue has: nothing is lost."""
    return {
        "symbol": symbol,
        "market_id": market,
        "index_price": fixed(index, digits),
        "mark_price": fixed(mark, digits),
        "mid_price": fixed(mark * 1.00002, digits),
        "open_interest": fixed(coins * mark, 6),  # dollars
        "open_interest_limit": UNLIMITED,
        "funding_clamp_small": "0.0500",
        "funding_clamp_big": "4.0000",
        "last_trade_price": fixed(mark * 0.99999, digits),
        "current_funding_rate": fixed(rate * 100, 6),
        "funding_rate": "0.001200",
        "funding_timestamp": now_ms // HOUR_MS * HOUR_MS,  # of the last settlement
        "base_interest_rate": "0.0100",
    }


def _detail(market: int, quote: Quote) -> dict[str, Any]:
    item, volume = quote.instrument, day_volume(quote)
    digits = item.price_digits, item.oi_digits
    return _described(item.base, market, "active", quote.mark, quote.contracts, volume, *digits)


def _described(
    symbol: str, market: int, status: str, price: float, coins: float, volume: float, digits: int, size_digits: int
) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "market_id": market,
        "market_type": "perp",
        "status": status,
        "size_decimals": size_digits,
        "price_decimals": digits,
        "mark_price": fixed(price, digits),  # these two since September 2026 at the latest, not yet in May
        "index_price": fixed(price, digits),
        "last_trade_price": round(price, digits),
        "daily_base_token_volume": volume,
        "open_interest": coins,  # coins, and not dollars as on the socket
        "market_config": {"force_reduce_only": False, "trading_hours": "", "hidden": False},
    }


def _statistics(kind: str, rows: Mapping[str, Any], now_ms: int) -> str:
    head = {"type": f"{kind}/market_stats", "channel": STATISTICS, "timestamp": now_ms}
    return encode({**head, "market_stats": rows})


def _trades(kind: str, topic: str, fills: Iterable[Trade]) -> str:
    fills, market = list(fills), int(topic.removeprefix(TRADE))
    document: dict[str, Any] = {
        "type": f"{kind}/trade",
        "channel": topic,
        "trades": [_trade(trade, market) for trade in fills if trade.liquidated is None],
    }
    forced = [_trade(trade, market) for trade in fills if trade.liquidated is not None]
    if forced:
        document["liquidation_trades"] = forced
    return encode(document)


def _trade(trade: Trade, market: int) -> dict[str, Any]:
    number = trade.number
    position = trade.contracts * 1.5 * (1 if trade.taker == "sell" else -1)
    return {
        "trade_id": number,
        "trade_id_str": str(number),
        "type": "trade" if trade.liquidated is None else "liquidation",
        "market_id": market,
        "size": fixed(trade.contracts, 8),
        "price": fixed(trade.price, 10),
        "usd_amount": fixed(trade.contracts * trade.price, 6),
        "is_maker_ask": trade.taker == "buy",
        "timestamp": trade.ts,
        "taker_position_size_before": fixed(position, 8),
        "transaction_time": trade.ts * 1000 + 21,
    }


def _error(code: int, message: str) -> Frame:
    return Frame(encode({"error": {"code": code, "message": message}}))
