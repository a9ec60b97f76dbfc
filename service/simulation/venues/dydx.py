"""dYdX v4's Indexer as its page describes it: snapshots as acks, batches, 32 topics a channel, server pings."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.simulation.market import HOUR_MS, MarketModel, Quote
from service.simulation.protocol import (
    Answer,
    Frame,
    Hangup,
    Out,
    Protocol,
    ServerPing,
    Session,
    by_name,
    day_volume,
    encode,
    epoch_ms,
    iso,
    parse,
    trimmed,
)  # fmt: skip
from service.simulation.quotes import Trade

PING_MS = 30_000
PONG_MS = 10_000
TASK_MS = 30_000  # the Indexer's task that works out open interest and funding
TOPICS_PER_CHANNEL = 32
ATTEMPTS_PER_S = 2  # per channel and id, and of invalid messages
BLOCK_MS = 1_000
GENESIS_MS = 1_698_000_000_000
MAX_ROWS = 1_000
BATCHED = "+"  # ends the topics of a client that asked for batches
CHANNELS = ("v4_markets", "v4_trades", "v4_block_height")


@dataclass(slots=True, eq=False)
class _Session(Session):
    messages: int = 0
    attempts: dict[str, list[int]] = field(default_factory=dict)
    pinged_ms: int = 0  # of an unanswered ping

    def too_often(self, key: str, now_ms: int) -> bool:
        recent = [at for at in self.attempts.get(key, []) if at > now_ms - 1000] + [now_ms]
        self.attempts[key] = recent
        return len(recent) > ATTEMPTS_PER_S


class Dydx(Protocol):
    venue = "dydx"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)
        self._oracle: dict[str, float] = {}  # as last pushed
        self._task: dict[str, dict[str, Any]] = {name: self._stated(quote) for name, quote in self._by_name.items()}
        self._ran_ms = model.now_ms // TASK_MS * TASK_MS

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"indexer": f"ws://{authority}/v4/ws"}, f"http://{authority}/v4"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        if path != "/v4/ws":
            return None
        name = f"{session_id}-0000-4000-8000-000000000000"
        return _Session("indexer", name, now_ms, last_in_ms=now_ms, ping_ms=now_ms)

    def greeting(self, session: Session, now_ms: int) -> list[Out]:
        assert isinstance(session, _Session)
        return [Frame(encode({"type": "connected", "connection_id": session.connection_id, "message_id": 0}))]

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        assert isinstance(session, _Session)
        session.count_in(now_ms)
        request = parse(text)
        if not isinstance(request, dict):
            return self._invalid(session, "Invalid message: could not parse", now_ms)
        kind = request.get("type")
        if kind == "ping":
            return []  # accepted, and never answered
        if kind is None:
            return self._invalid(session, "Invalid message: type is required", now_ms)
        if kind not in ("subscribe", "unsubscribe"):
            return self._invalid(session, f"Invalid message type: {kind}", now_ms)
        channel, name = request.get("channel"), request.get("id")
        if channel not in CHANNELS:
            return self._invalid(session, f"Invalid channel: {channel}", now_ms)
        named = {"id": name} if isinstance(name, str) and channel == "v4_trades" else {}
        if channel == "v4_trades" and name not in self._by_name:
            return [self._error(session, f"Invalid subscription id for channel: ({channel}-{name})")]
        key = f"{channel}-{name}" if named else channel
        topic = f"{channel}/{name}" if named else channel
        subscribed = [held for held in (topic, topic + BATCHED) if held in session.topics]
        if kind == "unsubscribe":
            for held in subscribed:
                del session.topics[held]
            return [Frame(self._headed(session, {"type": "unsubscribed", "channel": channel, **named}))]
        if session.too_often(key, now_ms):
            error = f"Too many subscribe attempts for channel {key}. Please  reconnect and try again."
            return [self._error(session, error), Hangup(1008, '{"message":"Rate limited"}')]
        where = {"channel": channel, **named}
        if subscribed:
            return [self._error(session, f"Invalid subscribe message: already subscribed ({key})", where)]
        if sum(held.startswith(f"{channel}/") for held in session.topics) >= TOPICS_PER_CHANNEL:  # integers
            error = f"Per-connection subscription limit reached for {channel} (limit={TOPICS_PER_CHANNEL})."
            return [self._error(session, error, where)]
        topic += BATCHED if request.get("batched") is True else ""
        session.topics[topic] = None
        contents = self._snapshot(channel, name, now_ms)
        return [Frame(encode({"type": "subscribed", **where, "contents": contents}), topic)]

    def wrap(self, session: Session, frame: Frame) -> str:
        """Every message carries its connection's id and number, right after its type."""
        assert isinstance(session, _Session)
        session.messages += 1
        kind, _, rest = frame.text.partition(",")
        return f'{kind},"connection_id":"{session.connection_id}","message_id":{session.messages},{rest}'

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        if now_ms % BLOCK_MS != 0:
            return
        markets = self._changes(now_ms)
        for topic in wanted:
            channel, _, name = topic.removesuffix(BATCHED).partition("/")
            if channel == "v4_markets":
                parts = markets
            elif channel == "v4_block_height":
                parts = [{"blockHeight": str(_height(now_ms)), "time": iso(now_ms)}]
            else:
                parts = [{"trades": [_trade(trade)]} for trade in self._by_name[name].trades()]
            head = {"channel": channel, "id": name} if name else {"channel": channel}
            version = {"version": "2.1.0" if channel == "v4_trades" else "1.0.0"}
            if topic.endswith(BATCHED):
                if parts:  # all of one flush in one message
                    text = encode({"type": "channel_batch_data", **head, **version, "contents": parts})
                    yield Frame(text, topic)
            else:
                for part in parts:
                    yield Frame(encode({"type": "channel_data", **head, **version, "contents": part}), topic)

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        """Protocol pings every 30 s; whatever the client sends after one, its pong first of all, counts as alive."""
        assert isinstance(session, _Session)
        if session.pinged_ms != 0 and session.last_in_ms >= session.pinged_ms:
            session.pinged_ms = 0
        if session.pinged_ms != 0 and now_ms - session.pinged_ms >= PONG_MS:
            return [Hangup(1011, "heartbeat timeout")]
        if now_ms - session.ping_ms < PING_MS:
            return []
        session.ping_ms = session.pinged_ms = now_ms
        return [ServerPing()]

    # -- replies ---------------------------------------------------------------------------------------------------

    def _headed(self, session: _Session, document: dict[str, Any]) -> str:
        return self.wrap(session, Frame(encode(document)))

    def _error(self, session: _Session, message: str, where: Mapping[str, Any] | None = None) -> Frame:
        return Frame(self._headed(session, {"type": "error", "message": message, **(where or {})}))

    def _invalid(self, session: _Session, message: str, now_ms: int) -> list[Out]:
        if session.too_often("", now_ms):
            error = "Too many invalid messages. Please reconnect and try again."
            return [self._error(session, error), Hangup(1008, '{"message":"Rate limited"}')]
        return [self._error(session, message)]

    # -- markets ---------------------------------------------------------------------------------------------------

    def _snapshot(self, channel: str, name: Any, now_ms: int) -> dict[str, Any]:
        if channel == "v4_markets":
            return {"markets": self._markets()}
        if channel == "v4_block_height":
            return {"height": str(_height(now_ms)), "time": iso(now_ms)}
        return {"trades": self._recent(self._by_name[name])}

    def _markets(self) -> dict[str, Any]:
        markets = {name: self._market(name, number) for number, name in enumerate(self._by_name)}
        if markets:  # settled for good: it keeps its price, and must not count
            first = next(iter(markets.values()))
            markets["SIMOLD-USD"] = {**first, "ticker": "SIMOLD-USD", "clobPairId": "999", "status": "FINAL_SETTLEMENT"}
        return markets

    def _market(self, name: str, number: int) -> dict[str, Any]:
        quote = self._by_name[name]
        item = quote.instrument
        return {
            "clobPairId": str(number),
            "ticker": name,
            "status": "ACTIVE",
            "oraclePrice": _number(quote.mark),
            **self._task[name],
            "initialMarginFraction": "0.02",
            "maintenanceMarginFraction": "0.012",
            "atomicResolution": -10,
            "quantumConversionExponent": -9,
            "tickSize": trimmed(10.0**-item.price_digits, item.price_digits),
            "stepSize": trimmed(10.0**-item.oi_digits, item.oi_digits),
            "stepBaseQuantums": 1_000_000,
            "subticksPerTick": 100_000,
            "marketType": "CROSS",
            "openInterestLowerCap": "0",
            "openInterestUpperCap": "0",
            "baseOpenInterest": trimmed(item.oi_contracts * 1.7, item.oi_digits),  # deprecated: does not move
            "defaultFundingRate1H": "0",
        }

    def _stated(self, quote: Quote) -> dict[str, Any]:
        """What the task of every 30 s works out."""
        item = quote.instrument
        before, _, _ = self.model.state(item.symbol).day()
        volume = day_volume(quote) * quote.price
        return {
            "priceChange24H": trimmed(quote.mark - before * item.multiplier, 12),
            "volume24H": trimmed(volume, 4),
            "trades24H": round(volume / 4000),
            "nextFundingRate": trimmed(quote.rate, 20),
            "openInterest": trimmed(quote.contracts, item.oi_digits),
        }

    def _changes(self, now_ms: int) -> list[dict[str, Any]]:
        """What changed since the last block: prices, and every 30 s what the task has found."""
        parts: list[dict[str, Any]] = []
        if now_ms - self._ran_ms >= TASK_MS:
            self._ran_ms = now_ms // TASK_MS * TASK_MS
            trading = {}
            for name, quote in self._by_name.items():
                before, after = self._task[name], self._stated(quote)
                changed = {key: value for key, value in after.items() if before[key] != value}
                if changed:
                    trading[name] = changed
                self._task[name] = after
            if trading:
                parts.append({"trading": trading})
        stamp = {"effectiveAt": iso(now_ms), "effectiveAtHeight": str(_height(now_ms))}
        prices = {}
        for number, (name, quote) in enumerate(self._by_name.items()):
            if self._oracle.get(name) != quote.mark:
                self._oracle[name] = quote.mark
                prices[name] = {"oraclePrice": _number(quote.mark), **stamp, "marketId": number}
        if prices:
            parts.append({"oraclePrices": prices})
        return parts

    @staticmethod
    def _recent(quote: Quote) -> list[dict[str, Any]]:
        quote.trades()
        return [_trade(trade) for trade in reversed(quote.recent)]

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        parts = path.removeprefix("/v4/").split("/")
        if method != "GET" or not path.startswith("/v4/"):
            return Answer(404, encode({"errors": [{"msg": "Not Found"}]}))
        if parts == ["perpetualMarkets"]:
            markets, name = self._markets(), query.get("market")
            if name is not None and name not in markets:
                return _refused("market must be a valid market", "market", 400)
            return Answer(200, encode({"markets": markets if name is None else {name: markets[name]}}))
        if parts == ["height"]:
            return Answer(200, encode({"height": str(_height(now_ms)), "time": iso(now_ms)}))
        if parts == ["time"]:
            return Answer(200, encode({"iso": iso(now_ms), "epoch": now_ms / 1000}))
        if parts[:-1] not in (["historicalFunding"], ["trades", "perpetualMarket"], ["candles", "perpetualMarkets"]):
            return Answer(404, encode({"errors": [{"msg": "Not Found"}]}))
        quote = self._by_name.get(parts[-1])
        if quote is None:
            return _refused("ticker must be a valid ticker", "ticker", 400)
        limit = query.get("limit", "1000")
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit) <= MAX_ROWS):
            return _refused("limit must be a positive integer that is not greater than max: 1000", "limit", 400)
        if parts[0] == "trades":
            return Answer(200, encode({"trades": self._recent(quote)[: int(limit)]}))
        if parts[0] == "historicalFunding":
            return Answer(200, encode({"historicalFunding": _funding(quote, query, now_ms)[: int(limit)]}))
        return _candles(quote, query, int(limit), now_ms)


def _number(value: float) -> str:
    return trimmed(value, 12)


def _height(now_ms: int) -> int:
    return (now_ms - GENESIS_MS) // BLOCK_MS


def _trade(trade: Trade) -> dict[str, Any]:
    height = _height(trade.ts)
    return {
        "id": f"{height:08x}{trade.number:016x}",
        "side": trade.taker.upper(),
        "size": trimmed(trade.contracts, 10),
        "price": _number(trade.price),
        "type": "LIMIT" if trade.liquidated is None else "LIQUIDATED",
        "createdAt": iso(trade.ts),
        "createdAtHeight": str(height),
    }


def _funding(quote: Quote, query: Mapping[str, str], now_ms: int) -> list[dict[str, Any]]:
    """Settled hours, newest first: stamped with the first block after the hour."""
    before_ms = epoch_ms(query.get("effectiveBeforeOrAt", iso(now_ms)))
    rows = []
    for settled_ms, rate in reversed(quote.settlements):
        stamp = settled_ms + 219
        if before_ms is None or stamp > before_ms or stamp > now_ms:
            continue
        found = quote.past.points(settled_ms, settled_ms)
        rows.append(
            {
                "ticker": quote.instrument.name,
                "rate": trimmed(rate, 20),
                "price": _number(found[0].index if found else quote.index),
                "effectiveAtHeight": str(_height(stamp)),
                "effectiveAt": iso(stamp),
            }
        )
    return rows


RESOLUTIONS = {"1MIN": 1, "5MINS": 5, "15MINS": 15, "30MINS": 30, "1HOUR": 60, "4HOURS": 240, "1DAY": 1440}


def _candles(quote: Quote, query: Mapping[str, str], limit: int, now_ms: int) -> Answer:
    """Newest first. Prices are of trades; `startingOpenInterest` is that of the candle's beginning."""
    minutes = RESOLUTIONS.get(query.get("resolution", ""))
    if minutes is None:
        return _refused(
            f"resolution must be a valid Candle Resolution, one of {','.join(RESOLUTIONS)}", "resolution", 400
        )
    begin_ms = epoch_ms(query.get("fromISO", iso(now_ms - 90 * 24 * HOUR_MS)))
    end_ms = epoch_ms(query.get("toISO", iso(now_ms)))
    if begin_ms is None or end_ms is None:
        return _refused("fromISO and toISO must be ISO 8601 times", "fromISO", 400)
    bars = quote.bars("mark", begin_ms, end_ms - 1, minutes)[-limit:]  # [fromISO, toISO)
    digits = quote.instrument.oi_digits
    rows = []
    for bar in reversed(bars):
        found = quote.past.points(bar.open_ms, bar.open_ms)
        contracts = found[0].contracts if found else quote.contracts
        rows.append(
            {
                "startedAt": iso(bar.open_ms),
                "ticker": quote.instrument.name,
                "resolution": query["resolution"],
                "low": _number(bar.low),
                "high": _number(bar.high),
                "open": _number(bar.open),
                "close": _number(bar.close),
                "baseTokenVolume": trimmed(contracts / 900 * minutes, 6),
                "usdVolume": trimmed(contracts * bar.close / 900 * minutes, 4),
                "trades": 12 * minutes,
                "startingOpenInterest": trimmed(contracts, digits),
                "orderbookMidPriceOpen": _number(bar.open),
                "orderbookMidPriceClose": _number(bar.close),
            }
        )
    return Answer(200, encode({"candles": rows}))


def _refused(message: str, parameter: str, status: int) -> Answer:
    return Answer(status, encode({"errors": [{"msg": message, "param": parameter, "location": "params"}]}))
