"""Kraken's unified socket beside v1. Requests, acknowledgements, ping, `status` and the envelope are as documented.

**The fields of `ticker` and `instrument` are our assumption**: no stored page and no recorded frame shows them. The
ticker speaks on trades alone, as its page says. The funding rate is sent as money an hour, like the field of that name
of v1, so that a client that takes it for a fraction is found out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from service.simulation.market import Quote
from service.simulation.protocol import Frame, Hangup, Out, Session, encode, iso, parse, strings, trimmed
from service.simulation.quotes import Trade

KIND = "unified"
PATH = "/v2/public"
REQUESTS_PER_S = 50  # not documented
PRODUCT_CHANNELS = ("ticker", "trade")


def topic_of(channel: str, name: str = "") -> str:
    """Apart from the topics of v1."""
    return f"{KIND}:{channel}:{name}"


def absolute_rate(quote: Quote) -> float:
    """USD per coin (PF), or coins per dollar (PI), and hour, in force for the running one."""
    return quote.told_rate / quote.index if quote.instrument.inverse else quote.told_rate * quote.index


def ticker(quote: Quote, now_ms: int) -> dict[str, Any]:
    """A row of our assumption: numbers, and open interest as a text."""
    item = quote.instrument
    return {
        "symbol": item.name,
        "bid": quote.mark,
        "ask": round(quote.mark + 10.0**-item.price_digits, item.price_digits),
        "last": quote.mark,
        "mark_price": quote.mark,
        "index_price": quote.index,
        "open_interest": trimmed(quote.contracts, item.oi_digits),
        "funding_rate": absolute_rate(quote),
        "suspended": False,
        "timestamp": _micro(now_ms),
    }


def trade(quote: Quote, fill: Trade) -> dict[str, Any]:
    """A row as on the spot socket: it does not say what kind of trade it is."""
    return {
        "symbol": quote.instrument.name,
        "side": fill.taker,
        "price": fill.price,
        "qty": fill.contracts,
        "ord_type": "market",
        "trade_id": fill.number,
        "timestamp": _micro(fill.ts),
    }


def instrument(quote: Quote) -> dict[str, Any]:
    return {"symbol": quote.instrument.name, "status": "online", "quote": "USD"}


def status(session: Session) -> Frame:
    row = {"system": "online", "version": "2.0.10", "api_version": "v2", "connection_id": session.opened_ms * 1000 + 7}
    return Frame(encode({"channel": "status", "type": "update", "data": [row]}))


def received(quotes: Mapping[str, Quote], session: Session, text: str, now_ms: int) -> list[Out]:
    """Replies to one text of the client."""
    if session.count_in(now_ms) > REQUESTS_PER_S:
        return [_answer("subscribe", None, now_ms, error="Exceeded msg rate")]
    request = parse(text)
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return [Hangup(1008, "malformed request")]
    method, req_id, params = request["method"], request.get("req_id"), request.get("params")
    if method == "ping":
        return [_answer("pong", req_id, now_ms)]
    if method not in ("subscribe", "unsubscribe") or not isinstance(params, dict):
        return [_answer(method, req_id, now_ms, error="Unsupported method")]
    channel = params.get("channel")
    if params.get("asset_class") != "derivatives":
        return [_answer(method, req_id, now_ms, error="Asset class not supported")]
    if channel == "instrument":
        session.topics[topic_of("instrument")] = None
        rows = [instrument(quote) for quote in quotes.values()]
        first = Frame(_data("instrument", rows, "snapshot"), topic_of("instrument"))
        return [_answer(method, req_id, now_ms, {"channel": channel, "snapshot": True}), first]
    symbols = strings(params.get("symbol"))
    if channel not in PRODUCT_CHANNELS or not symbols:
        return [_answer(method, req_id, now_ms, error="Channel not supported")]
    replies: list[Out] = []
    for symbol in symbols:
        quote = quotes.get(symbol)
        if quote is None:
            error = f"Currency pair not supported {symbol}"
            replies.append(_answer(method, req_id, now_ms, error=error, symbol=symbol))
            continue
        snapshot = params.get("snapshot", channel == "ticker") is True
        result = {"channel": channel, "symbol": symbol, "snapshot": snapshot}
        replies.append(_answer(method, req_id, now_ms, result))
        topic = topic_of(channel, symbol)
        if method == "unsubscribe":
            session.topics.pop(topic, None)
            continue
        session.topics[topic] = None
        if snapshot:
            rows = [ticker(quote, now_ms)] if channel == "ticker" else [trade(quote, fill) for fill in quote.recent]
            replies.append(Frame(_data(channel, rows, "snapshot"), topic))
    return replies


def pushes(quotes: Mapping[str, Quote], wanted: Iterable[str], now_ms: int) -> Iterator[Frame]:
    """Once a second what was traded, and the ticker of what was traded."""
    for topic in wanted:
        _, channel, name = topic.split(":")
        fills = quotes[name].trades() if name else ()
        if fills:
            quote = quotes[name]
            rows = [ticker(quote, now_ms)] if channel == "ticker" else [trade(quote, fill) for fill in fills]
            yield Frame(_data(channel, rows, "update"), topic)


def _data(channel: str, rows: Sequence[dict[str, Any]], kind: str) -> str:
    return encode({"channel": channel, "type": kind, "data": list(rows)})


def _answer(
    method: str,
    req_id: Any,
    now_ms: int,
    result: dict[str, Any] | None = None,
    error: str | None = None,
    symbol: str | None = None,
) -> Frame:
    """One acknowledgement or refusal; a refusal names its symbol."""
    said: dict[str, Any] = {"method": method}
    if req_id is not None:
        said["req_id"] = req_id
    if result is not None:
        said["result"] = result
    if error is not None:
        said["error"] = error
    said["success"] = error is None
    if symbol is not None:
        said["symbol"] = symbol
    return Frame(encode({**said, "time_in": _micro(now_ms), "time_out": _micro(now_ms)}))


def _micro(ms: int) -> str:
    return iso(ms).replace("Z", "001Z")
