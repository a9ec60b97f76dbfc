"""Deribit as its page describes it: JSON-RPC 2.0, credits, one refused channel fails its request, opt-in heartbeat."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
)  # fmt: skip
from service.simulation.venues.deribit_rows import (
    SPANS,
    filed_under,
    funding_history,
    index_chart,
    index_name,
    instruments,
    summary,
    ticker,
    trades,
)  # fmt: skip

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
_Values = tuple[float, float, float, float]  # mark, index, open interest, funding


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
