"""Deribit as its page describes it: JSON-RPC 2.0, credits, one refused channel fails its request, opt-in heartbeat."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.simulation.market import HOUR_MS, MarketModel, Quote
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
    parse,
    strings,
)  # fmt: skip
from service.simulation.quotes import Trade

REQUEST_BYTES = 32_768
CREDITS_PER_S = 10_000.0  # refill of both pools
SUBSCRIBE = (3_000.0, 30_000.0)  # cost, pool
OTHER = (500.0, 50_000.0)
EXCESSES = 3  # refusals for want of credits before the connection is closed
HEARTBEAT_LEAST_S = 10
INTERVALS = ("100ms", "agg2")
LAST_TRADES = "public/get_last_trades_by_instrument"
PRICE_INDEX = "deribit_price_index."
_INVALID = -32602
BLOCK_EVERY = 640  # trade numbers: a block trade is reported along with about one second's trades in forty
SPANS = {"1h": (1, 1), "1d": (24, 5), "2d": (48, 10), "1m": (72, 60), "all": (72, 60)}  # range -> hours, minutes apart
_Values = tuple[float, float, float, float]  # mark, index, open interest, funding


# -- rows, in the venue's units ----------------------------------------------------------------------------------------


def filed_under(quote: Quote) -> str:
    """The currency that the venue files an instrument under."""
    return quote.instrument.base if quote.instrument.inverse else quote.instrument.quote


def index_name(quote: Quote) -> str:
    return f"{quote.instrument.base}_{quote.instrument.quote}".lower()


def instruments(quotes: Iterable[Quote]) -> list[dict[str, Any]]:
    """The perpetuals, and what a client must leave out: a dated future, and a perpetual no longer traded."""
    rows = [_instrument(quote, number) for number, quote in enumerate(quotes)]
    if rows:
        base = rows[0]["base_currency"]
        dated = {"instrument_name": f"{base}-25DEC26", "settlement_period": "month", "instrument_id": 390_001}
        rows.append({**rows[0], **dated, "expiration_timestamp": 1_798_185_600_000})
        gone = {"instrument_name": "SIMOLD_USDC-PERPETUAL", "base_currency": "SIMOLD", "instrument_id": 390_002}
        rows.append({**rows[0], **gone, "future_type": "linear", "instrument_type": "linear", "is_active": False})
    return rows


def _instrument(quote: Quote, number: int) -> dict[str, Any]:
    item = quote.instrument
    kind = "reversed" if item.inverse else "linear"
    step = contract_size(quote)
    return {
        "price_index": index_name(quote),
        "kind": "future",
        "instrument_name": item.name,
        "max_leverage": 50,
        "maker_commission": 0.0,
        "taker_commission": 0.0005,
        "instrument_type": kind,
        "expiration_timestamp": 32_503_708_800_000,
        "creation_timestamp": 1_534_000_000_000,
        "is_active": True,
        "tick_size": 10.0**-item.price_digits,
        "contract_size": step,
        "instrument_id": 100_001 + number,
        "min_trade_amount": step,
        "future_type": kind,
        "max_liquidation_commission": 0.0075,
        "block_trade_commission": 0.00025,
        "block_trade_min_trade_amount": 200_000,
        "block_trade_tick_size": 0.01,
        "settlement_currency": item.base if item.inverse else item.quote,
        "settlement_period": "perpetual",
        "base_currency": item.base,
        "counter_currency": item.quote,
        "quote_currency": item.quote,
        "tick_size_steps": [],
    }


def contract_size(quote: Quote) -> float:
    """The step in which amounts are traded: not what open interest is counted in."""
    item = quote.instrument
    return (10.0 if item.base == "BTC" else 1.0) if item.inverse else 10.0**-item.oi_digits


def ticker(quote: Quote, now_ms: int, day: tuple[float, float, float]) -> dict[str, Any]:
    """A perpetual's ticker; ``day``: price 24 h ago, highest, lowest."""
    item = quote.instrument
    mark, digits = quote.mark, item.price_digits
    before, high, low = day
    volume = day_volume(quote)
    usd = round(volume * mark, 2)
    return {
        "timestamp": now_ms,
        "state": "open",
        "stats": {
            "high": round(max(high, mark), digits),
            "low": round(min(low, mark), digits),
            "price_change": round((mark / before - 1) * 100, 4),
            "volume": round(volume, 8),
            "volume_usd": usd,
            "volume_notional": usd,
        },
        "index_price": quote.index,
        "instrument_name": item.name,
        "last_price": mark,
        "settlement_price": round(before, digits),
        "min_price": round(mark * 0.985, digits),
        "max_price": round(mark * 1.015, digits),
        "open_interest": quote.contracts,  # an amount: USD (inverse) or coins
        "mark_price": mark,
        "interest_value": quote.rate * 80,
        "best_ask_price": round(mark + 10.0**-digits, digits),
        "best_bid_price": mark,
        "estimated_delivery_price": quote.index,
        "best_ask_amount": round(quote.contracts / 5000, item.oi_digits),
        "best_bid_amount": round(quote.contracts / 8000, item.oi_digits),
        "current_funding": quote.rate,
        "funding_8h": round(quote.average_premium, 8),
    }


def summary(quote: Quote, told: dict[str, Any]) -> dict[str, Any]:
    """A row of the book summaries, of what the ticker tells."""
    kept = ("open_interest", "mark_price", "instrument_name", "funding_8h", "estimated_delivery_price")
    stats = told["stats"]
    return {
        **{key: stats[key] for key in ("volume_usd", "volume_notional", "volume", "price_change", "low", "high")},
        **{key: told[key] for key in kept},
        "quote_currency": quote.instrument.quote,
        "base_currency": quote.instrument.base,
        "last": told["last_price"],
        "mid_price": told["best_bid_price"],
        "bid_price": told["best_bid_price"],
        "ask_price": told["best_ask_price"],
        "current_funding": told["current_funding"],
        "creation_timestamp": told["timestamp"],
    }


def trades(quote: Quote, fills: Iterable[Trade]) -> list[dict[str, Any]]:
    """Rows in the given order. Now and then a block trade is among them, which no taker made on the book."""
    rows = []
    for fill in fills:
        rows.append(_trade(quote, fill, fill.contracts))
        if fill.number % BLOCK_EVERY == 0:
            block = _trade(quote, fill, round(fill.contracts * 40, quote.instrument.oi_digits))
            block["trade_seq"] += 1
            block["trade_id"] += "1"
            block.pop("liquidation", None)
            rows.append({**block, "block_trade_id": f"BLOCK-{fill.number}", "block_trade_leg_count": 1})
    return rows


def _trade(quote: Quote, fill: Trade, amount: float) -> dict[str, Any]:
    item = quote.instrument
    step = contract_size(quote)
    prefix = "" if item.inverse else f"{item.base}_{item.quote}-"
    row = {
        "trade_seq": fill.number * 2,
        "trade_id": f"{prefix}{fill.number * 3}",
        "timestamp": fill.ts,
        "tick_direction": fill.number % 4,
        "price": fill.price,
        "mark_price": quote.mark,
        "instrument_name": item.name,
        "index_price": quote.index,
        "direction": fill.taker,
        "amount": amount,  # USD (inverse) or coins
        "contracts": round(amount / step, 6),
    }
    if fill.liquidated is not None:
        row["liquidation"] = "T"  # in this market it is always the taker
    return row


# -- the past ----------------------------------------------------------------------------------------------------------


def funding_history(quote: Quote, begin_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """One row per full hour, oldest first: what an hour and the last eight hours have charged."""
    rows = []
    for point in quote.past.points(begin_ms, end_ms, HOUR_MS):
        rate = next((charged for at, charged in reversed(quote.settlements) if at <= point.ts), 0.0)
        before = quote.past.points(point.ts - HOUR_MS, point.ts - HOUR_MS)
        rows.append(
            {
                "timestamp": point.ts,
                "index_price": point.index,
                "prev_index_price": before[0].index if before else point.index,
                "interest_8h": rate,
                "interest_1h": rate / 8,
            }
        )
    return rows


def index_chart(quote: Quote, span: str, now_ms: int) -> list[list[float]]:
    """[time, price] pairs of the index, oldest first."""
    hours, minutes = SPANS[span]
    points = quote.past.points(now_ms - hours * HOUR_MS, now_ms, minutes * MINUTE_MS)
    return [[point.ts, point.index] for point in points]


# -- the server --------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Session(Session):
    subscribe_credits: float = SUBSCRIBE[1]
    other_credits: float = OTHER[1]
    credited_ms: int = 0
    excesses: int = 0
    heartbeat_ms: int = 0  # 0: not opted in
    beat_ms: int = 0
    test_ms: int = 0  # of an unanswered test_request

    def pay(self, subscription: bool, now_ms: int) -> bool:
        """Take a request's credits; False: too many requests."""
        gained = (now_ms - self.credited_ms) * CREDITS_PER_S / 1000
        self.credited_ms = now_ms
        self.subscribe_credits = min(self.subscribe_credits + gained, SUBSCRIBE[1])
        self.other_credits = min(self.other_credits + gained, OTHER[1])
        if subscription:
            self.subscribe_credits -= SUBSCRIBE[0]
            paid = self.subscribe_credits >= 0
            self.subscribe_credits = max(self.subscribe_credits, 0.0)
        else:
            self.other_credits -= OTHER[0]
            paid = self.other_credits >= 0
            self.other_credits = max(self.other_credits, 0.0)
        return paid


class Deribit(Protocol):
    venue = "deribit"
    max_connections = 32

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)
        self._indices = {index_name(quote): quote for quote in self.quotes}
        self._told: dict[str, _Values] = {}  # ticker topic -> values that every subscriber has
        self._wanted: Mapping[str, None] = {}

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"public": f"ws://{authority}/ws/api/v2"}, f"http://{authority}/api/v2"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        if path != "/ws/api/v2":
            return None
        return _Session("public", session_id, now_ms, last_in_ms=now_ms, credited_ms=now_ms)

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        assert isinstance(session, _Session)
        session.count_in(now_ms)
        if len(text) > REQUEST_BYTES:
            return [_error(None, -32600, "request entity too large", None, now_ms)]
        request = parse(text)
        if not isinstance(request, dict):
            return [_error(None, -32700, "Parse error", None, now_ms)]
        number, method, parameters = request.get("id"), request.get("method"), request.get("params", {})
        if request.get("jsonrpc") != "2.0" or not isinstance(method, str) or not isinstance(parameters, dict):
            return [_error(number, -32600, "Invalid Request", None, now_ms)]
        if not session.pay(method in ("public/subscribe", "public/unsubscribe"), now_ms):
            session.excesses += 1
            refusal: list[Out] = [_error(number, 10028, "too_many_requests", None, now_ms)]
            return refusal if session.excesses < EXCESSES else [*refusal, Hangup(1000, "too_many_requests")]
        if method in ("public/subscribe", "public/unsubscribe"):
            return self._subscription(session, number, method, parameters, now_ms)
        return self._call(session, number, method, parameters, now_ms)

    def _subscription(
        self, session: Session, number: Any, method: str, parameters: Mapping[str, Any], now_ms: int
    ) -> list[Out]:
        channels = strings(parameters.get("channels"))
        if channels is None:
            reason = {"reason": "value must be a list", "param": "channels"}
            return [_error(number, _INVALID, "Invalid params", reason, now_ms)]
        if any(channel.endswith(".raw") for channel in channels):  # and with it every good one of the request
            return [_error(number, 13778, "raw_subscriptions_not_available_for_unauthorized", None, now_ms)]
        known = sorted({channel for channel in channels if self._exists(channel)}, reverse=True)  # not as asked
        first: list[Out] = []
        for channel in known:
            if method == "public/unsubscribe":
                session.topics.pop(channel, None)
            elif channel not in session.topics:
                session.topics[channel] = None
                first += [Frame(text, channel) for text in self._first(channel, now_ms)]
        return [Frame(_result(number, known, now_ms)), *first]

    def _call(
        self, session: _Session, number: Any, method: str, parameters: Mapping[str, Any], now_ms: int
    ) -> list[Out]:
        if method == "public/unsubscribe_all":
            session.topics.clear()
            return [Frame(_result(number, "ok", now_ms))]
        if method == "public/set_heartbeat":
            interval = parameters.get("interval")
            if type(interval) is not int or interval < HEARTBEAT_LEAST_S:
                reason = {"reason": f"value must be at least {HEARTBEAT_LEAST_S}", "param": "interval"}
                return [_error(number, _INVALID, "Invalid params", reason, now_ms)]
            session.heartbeat_ms, session.beat_ms, session.test_ms = interval * 1000, now_ms, 0
            return [Frame(_result(number, "ok", now_ms))]
        if method == "public/disable_heartbeat":
            session.heartbeat_ms = session.test_ms = 0
            return [Frame(_result(number, "ok", now_ms))]
        if method == "public/test":
            session.test_ms = 0
        found, result = self._method(method, parameters, now_ms)
        return [Frame(_result(number, result, now_ms) if found else _failure(number, result, now_ms))]

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        self._wanted = dict(wanted)
        if now_ms % 1000 != 0:
            return
        for topic in wanted:
            kind, _, rest = topic.partition(".")
            if kind in ("ticker", "incremental_ticker"):
                quote = self._by_name[rest.split(".")[0]]
                values = _values(quote)
                before = self._told.get(topic)
                if before != values:  # only when something changed
                    self._told[topic] = values
                    yield Frame(self._ticker_text(topic, quote, before, now_ms), topic)
            elif kind == "deribit_price_index":
                yield Frame(self._index_text(topic, now_ms), topic)
            elif kind == "trades":  # the fills of many instruments, in one array
                rows = [row for quote in self._traded(topic) for row in trades(quote, quote.trades())]
                if rows:
                    yield Frame(_pushed(topic, rows), topic)

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        assert isinstance(session, _Session)
        if session.heartbeat_ms == 0 or now_ms - session.beat_ms < session.heartbeat_ms:
            return []
        if session.test_ms != 0:
            return [Hangup(1000, "heartbeat timeout")]  # the test_request had no answer
        session.beat_ms = session.test_ms = now_ms
        return [Frame(_notice("heartbeat", {"type": kind})) for kind in ("heartbeat", "test_request")]

    # -- channels --------------------------------------------------------------------------------------------------

    def _exists(self, channel: str) -> bool:
        parts = channel.split(".")
        if parts[0] == "ticker":
            return len(parts) == 3 and parts[1] in self._by_name and parts[2] in INTERVALS
        if parts[0] == "incremental_ticker":
            return len(parts) == 2 and parts[1] in self._by_name
        if parts[0] == "deribit_price_index":
            return len(parts) == 2 and parts[1] in self._indices
        if parts[0] == "trades":
            return parts[-1] in INTERVALS and bool(self._traded(channel))
        return channel in ("platform_state", "platform_state.public_methods_state")

    def _traded(self, channel: str) -> list[Quote]:
        """The instruments of `trades.NAME.INTERVAL` or `trades.future.CURRENCY.INTERVAL`; [] if there are none."""
        parts = channel.split(".")
        if len(parts) == 3 and parts[1] in self._by_name:
            return [self._by_name[parts[1]]]
        return self._of_currency(parts[2]) if len(parts) == 4 and parts[1] == "future" else []

    def _first(self, channel: str, now_ms: int) -> list[str]:
        kind, _, rest = channel.partition(".")
        if kind in ("ticker", "incremental_ticker"):
            quote = self._by_name[rest.split(".")[0]]
            if channel not in self._wanted:  # else the next change is still relative to what the others have
                self._told[channel] = _values(quote)
            return [self._ticker_text(channel, quote, None, now_ms)]
        if kind == "deribit_price_index":
            return [self._index_text(channel, now_ms)]
        return []  # trades come as they are made, the platform's state when it changes

    def _ticker_text(self, topic: str, quote: Quote, before: _Values | None, now_ms: int) -> str:
        fields = self._ticker(quote, now_ms)
        if topic.startswith("incremental_ticker"):
            if before is not None:
                mark, index, interest, rate = before
                same = {"mark_price": mark, "index_price": index, "open_interest": interest, "current_funding": rate}
                fields = {key: value for key, value in fields.items() if same.get(key) != value}
                del fields["stats"], fields["state"]
                fields["instrument_name"] = quote.instrument.name
            fields = {"type": "snapshot" if before is None else "change", **fields}
        return _pushed(topic, fields)

    def _ticker(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        return ticker(quote, now_ms, self.model.state(quote.instrument.symbol).day())

    def _index_text(self, topic: str, now_ms: int) -> str:
        name = topic.removeprefix(PRICE_INDEX)
        return _pushed(topic, {"timestamp": now_ms, "price": self._indices[name].index, "index_name": name})

    # -- methods over either transport ------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        if method != "GET":
            return Answer(405, "{}")
        name = path.removeprefix("/api/v2/")
        if name == path:
            return Answer(404, "{}")
        found, result = self._method(name, query, now_ms)
        return Answer(200, _result(None, result, now_ms)) if found else Answer(400, _failure(None, result, now_ms))

    def _method(self, name: str, parameters: Mapping[str, Any], now_ms: int) -> tuple[bool, Any]:
        """(True, result) or (False, error) of a method; parameters are text over HTTP."""
        if name == "public/test":
            return True, {"version": "1.2.26"}
        if name == "public/get_time":
            return True, now_ms
        if name == "public/get_instruments":
            return self._instruments(parameters)
        if name == "public/get_book_summary_by_currency":
            currency = parameters.get("currency")
            if not isinstance(currency, str) or currency not in self._currencies():
                return _wrong("currency")
            return True, [summary(quote, self._ticker(quote, now_ms)) for quote in self._of_currency(currency)]
        if name in ("public/ticker", "public/get_order_book"):
            quote = self._by_name.get(str(parameters.get("instrument_name")))
            return _wrong("instrument_name") if quote is None else (True, self._ticker(quote, now_ms))
        if name == "public/get_index_chart_data":
            return self._index_chart(parameters, now_ms)
        if name not in ("public/get_funding_rate_history", "public/get_mark_price_history", LAST_TRADES):
            return False, {"code": -32601, "message": "Method not found"}
        quote = self._by_name.get(str(parameters.get("instrument_name")))
        if quote is None:
            return _wrong("instrument_name")
        if name == LAST_TRADES:
            quote.trades()
            return True, {"trades": trades(quote, quote.recent)[::-1], "has_more": True}
        begin, end = str(parameters.get("start_timestamp")), str(parameters.get("end_timestamp"))
        if not (begin.isdecimal() and end.isdecimal()):
            return _wrong("start_timestamp")
        if name == "public/get_mark_price_history":
            return True, []  # kept for some options only
        return True, funding_history(quote, int(begin), min(int(end), now_ms))

    def _index_chart(self, parameters: Mapping[str, Any], now_ms: int) -> tuple[bool, Any]:
        quote, span = self._indices.get(str(parameters.get("index_name"))), str(parameters.get("range"))
        if quote is None:
            return _wrong("index_name")
        return (True, index_chart(quote, span, now_ms)) if span in SPANS else _wrong("range")

    def _currencies(self) -> dict[str, None]:
        return dict.fromkeys(filed_under(quote) for quote in self.quotes)

    def _of_currency(self, currency: str) -> list[Quote]:
        return [quote for quote in self.quotes if currency == "any" or filed_under(quote) == currency]

    def _instruments(self, parameters: Mapping[str, Any]) -> tuple[bool, Any]:
        currency = parameters.get("currency")
        if currency != "any" and currency not in self._currencies():
            return _wrong("currency")
        if parameters.get("kind", "future") != "future":
            return True, []
        return True, instruments(self._of_currency(str(currency)))


def _values(quote: Quote) -> _Values:
    return quote.mark, quote.index, quote.contracts, quote.rate


def _wrong(parameter: str) -> tuple[bool, Any]:
    return False, {"code": _INVALID, "message": "Invalid params", "data": {"reason": "wrong value", "param": parameter}}


def _pushed(channel: str, data: Any) -> str:
    return _notice("subscription", {"channel": channel, "data": data})


def _notice(method: str, params: dict[str, Any]) -> str:
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def _tail(now_ms: int) -> dict[str, Any]:
    return {"usIn": now_ms * 1000 + 312, "usOut": now_ms * 1000 + 498, "usDiff": 186, "testnet": False}


def _head(number: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0"} if number is None else {"jsonrpc": "2.0", "id": number}


def _result(number: Any, result: Any, now_ms: int) -> str:
    return encode({**_head(number), "result": result, **_tail(now_ms)})


def _failure(number: Any, error: dict[str, Any], now_ms: int) -> str:
    return encode({**_head(number), "error": error, **_tail(now_ms)})


def _error(number: Any, code: int, message: str, data: Any, now_ms: int) -> Frame:
    error = {"code": code, "message": message} if data is None else {"code": code, "message": message, "data": data}
    return Frame(_failure(number, error, now_ms))
