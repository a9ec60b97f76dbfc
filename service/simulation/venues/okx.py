"""OKX v5 public channels as their page describes them: one ack per argument, text pings, pushes on change.

The past, as the API guide v5 has it: arrays of text, newest first; `after` asks for what is older than a time, `before`
for what is newer, both exclusive; so are `begin` and `end` of the trading statistics.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.model import LongShortKind
from service.simulation.market import HOUR_MS, MarketModel, Quote
from service.simulation.minutes import MINUTE_MS, Point, Price
from service.simulation.protocol import (
    Answer,
    Frame,
    Hangup,
    Out,
    Protocol,
    Session,
    by_name,
    encode,
    fixed,
    parse,
    trimmed,
)  # fmt: skip
from service.simulation.quotes import Trade

QUIET_MS = 30_000  # without traffic, or without any subscription
MAX_REQUEST_BYTES = 65_536
OPERATIONS_PER_HOUR = 480
MARK_HEARTBEAT_MS = 10_000
INDEX_HEARTBEAT_MS = 60_000
OI_EVERY_MS = (3_000, 10_000)
FUNDING_EVERY_MS = (30_000, 90_000)
_CHANNELS = ("mark-price", "index-tickers", "funding-rate", "open-interest", "trades")
LIQUIDATIONS = "liquidation-orders:SWAP"
TWICE = 5  # of so many liquidations one is told twice
BACKLOG = 20  # old liquidations told to a new subscriber
BARS = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1H": 60, "2H": 120, "4H": 240}
PERIODS = {"5m": 5, "15m": 15, "30m": 30, "1H": 60, "2H": 120, "4H": 240}
PAGE = 100
RECENT_ROWS = 1_440  # how far candles reach without "history-" in their path
CANDLES: dict[str, Price] = {
    "mark-price-candles": "mark", "history-mark-price-candles": "mark",
    "index-candles": "index", "history-index-candles": "index",
}  # fmt: skip
RATIOS: dict[str, LongShortKind] = {
    "long-short-account-ratio-contract": "account",
    "long-short-account-ratio-contract-top-trader": "top_account",
    "long-short-position-ratio-contract-top-trader": "top_position",
}
STATISTICS = (*RATIOS, "open-interest-history", "taker-volume-contract")
_PATHS: Sequence[tuple[str, Sequence[str]]] = (
    ("/api/v5/market/", tuple(CANDLES)),
    ("/api/v5/public/", ("funding-rate-history",)),
    ("/api/v5/rubik/stat/contracts/", STATISTICS),
    ("/api/v5/rubik/stat/", ("taker-volume-contract",)),
)


# -- rows --------------------------------------------------------------------------------------------------------------


def _traded(name: str, trade: Trade) -> str:
    row = {
        "instId": name,
        "tradeId": str(trade.number),
        "px": trimmed(trade.price, 12),
        "sz": trimmed(trade.contracts, 8),
        "side": trade.taker,
        "ts": str(trade.ts),
        "count": str(1 + trade.number % 4),
        "source": "0",
        "seqId": trade.number * 3,
    }
    return encode({"arg": {"channel": "trades", "instId": name}, "data": [row]})


def _liquidation(quote: Quote, trade: Trade) -> str:
    """`side` is that of the order; `posSide` says nothing for one-way accounts."""
    item = quote.instrument
    detail = {
        "bkLoss": "0",
        "bkPx": trimmed(trade.price, item.price_digits),
        "ccy": "",
        "posSide": "net" if trade.number % 3 == 0 else trade.liquidated,
        "side": trade.taker,
        "sz": trimmed(trade.contracts, item.oi_digits),
        "ts": str(trade.ts),
    }
    row = {
        "details": [detail],
        "instFamily": item.index_name,
        "instId": item.name,
        "instType": "SWAP",
        "uly": item.index_name,
    }
    return encode({"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [row]})


def _instrument(quote: Quote) -> dict[str, Any]:
    item = quote.instrument
    return {
        "alias": "",
        "baseCcy": "",
        "category": "1",
        "ctMult": "1",
        "ctType": "inverse" if item.inverse else "linear",
        "ctVal": trimmed(item.native_size, 8),
        "ctValCcy": "USD" if item.inverse else item.base,
        "expTime": "",
        "instFamily": item.index_name,
        "instId": item.name,
        "instType": "SWAP",
        "lever": "100",
        "listTime": "1611916828000",
        "lotSz": "0.01",
        "maxIcebergSz": "100000000.0000000000000000",
        "maxLmtSz": "100000000",
        "maxMktSz": "85000",
        "maxStopSz": "85000",
        "maxTriggerSz": "100000000.0000000000000000",
        "maxTwapSz": "100000000.0000000000000000",
        "minSz": "0.01",
        "optType": "",
        "quoteCcy": "",
        "ruleType": "normal",
        "settleCcy": item.base if item.inverse else item.quote,
        "state": "live",
        "stk": "",
        "tickSz": trimmed(10.0**-item.price_digits, item.price_digits),
        "uly": item.index_name,
    }


# -- the server --------------------------------------------------------------------------------------------------------


class Okx(Protocol):
    venue = "okx"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)
        self._indices = {quote.instrument.index_name: quote for quote in self.quotes}
        self._last: dict[str, tuple[Any, int]] = {}  # topic -> what was pushed, and when
        self._due: dict[str, int] = {}  # topic -> next push of channels with a pace of their own
        self._liquidated: deque[tuple[Quote, Trade]] = deque(maxlen=BACKLOG)

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"public": f"ws://{authority}/ws/v5/public"}, f"http://{authority}"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        if path != "/ws/v5/public":
            return None
        return Session("public", session_id, now_ms, last_in_ms=now_ms, last_out_ms=now_ms)

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        session.count_in(now_ms)
        if text == "ping":
            return [Frame("pong")]
        request = parse(text) if len(text) <= MAX_REQUEST_BYTES else None
        operation = request.get("op") if isinstance(request, dict) else None
        arguments = request.get("args") if isinstance(request, dict) else None
        number = request.get("id") if isinstance(request, dict) else None
        if operation not in ("subscribe", "unsubscribe") or not isinstance(arguments, list) or not arguments:
            return [_error(session, number, "60012", f"Invalid request: {text}")]
        session.operations = [at for at in session.operations if at > now_ms - HOUR_MS] + [now_ms]
        if len(session.operations) > OPERATIONS_PER_HOUR:
            return [_error(session, number, "60014", "Requests too frequent")]
        replies: list[Out] = []
        first: list[Out] = []
        for argument in arguments:
            topic = self._topic(argument)
            if topic is None:
                shown = (
                    ",".join(f"{key}:{value}" for key, value in argument.items())
                    if isinstance(argument, dict)
                    else argument
                )
                replies.append(
                    _error(session, number, "60018", f"Wrong URL or {shown} doesn't exist. Please use the correct URL.")
                )
                continue
            if operation == "subscribe":
                session.topics[topic] = None
                first += [Frame(text, topic) for text in self._first(topic, now_ms)]
            else:
                session.topics.pop(topic, None)
            replies.append(Frame(_event(session, number, {"event": operation, "arg": argument})))
        return [*replies, *first]

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        for topic in wanted:
            channel, _, name = topic.partition(":")
            if channel == "trades":
                if now_ms % 1000 == 0:
                    for trade in self._by_name[name].trades():
                        yield Frame(_traded(name, trade), topic)
            elif topic == LIQUIDATIONS:
                if now_ms % 1000 == 0:
                    yield from self._liquidations()
            elif channel in ("mark-price", "index-tickers"):
                value, at = self._value(topic), now_ms
                before, pushed = self._last.get(topic, (None, 0))
                heartbeat = MARK_HEARTBEAT_MS if channel == "mark-price" else INDEX_HEARTBEAT_MS
                if value != before or at - pushed >= heartbeat:
                    self._last[topic] = (value, at)
                    yield Frame(self._message(topic, now_ms), topic)
            else:
                least, most = FUNDING_EVERY_MS if channel == "funding-rate" else OI_EVERY_MS
                due = self._due.setdefault(topic, now_ms + self.rng.randrange(least, most))
                if now_ms >= due:
                    self._due[topic] = now_ms + self.rng.randrange(least, most)
                    yield Frame(self._message(topic, now_ms), topic)

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        if not session.topics and now_ms - session.opened_ms >= QUIET_MS:
            return [Hangup(4004, "No data received in 30s")]
        if now_ms - max(session.last_in_ms, session.last_out_ms) >= QUIET_MS:
            return [Hangup(4004, "No data received in 30s")]
        return []

    def _topic(self, argument: Any) -> str | None:
        if not isinstance(argument, dict):
            return None
        channel, name = argument.get("channel"), argument.get("instId")
        if channel == "liquidation-orders":
            return LIQUIDATIONS if argument.get("instType") == "SWAP" else None
        if channel not in _CHANNELS or not isinstance(name, str):
            return None
        listed = self._indices if channel == "index-tickers" else self._by_name
        return f"{channel}:{name}" if name in listed else None

    def _first(self, topic: str, now_ms: int) -> list[str]:
        """What a new subscriber gets at once."""
        if topic == LIQUIDATIONS:  # a backlog, not in order of time
            shuffled = sorted(self._liquidated, key=lambda row: row[1].number % 7)
            return [_liquidation(quote, trade) for quote, trade in shuffled]
        return [] if topic.startswith("trades:") else [self._message(topic, now_ms)]

    def _liquidations(self) -> Iterator[Frame]:
        for quote in self.quotes:
            for trade in quote.liquidations():
                self._liquidated.append((quote, trade))
                for _ in range(2 if trade.number % TWICE == 0 else 1):  # as seen on the real venue
                    yield Frame(_liquidation(quote, trade), LIQUIDATIONS)

    def _value(self, topic: str) -> float:
        channel, _, name = topic.partition(":")
        return self._indices[name].index if channel == "index-tickers" else self._by_name[name].mark

    def _message(self, topic: str, now_ms: int) -> str:
        channel, _, name = topic.partition(":")
        row = self._row(channel, name, now_ms)
        return encode({"arg": {"channel": channel, "instId": name}, "data": [row]})

    def _row(self, channel: str, name: str, now_ms: int) -> dict[str, Any]:
        if channel == "index-tickers":
            return self._index(self._indices[name], now_ms)
        quote = self._by_name[name]
        if channel == "mark-price":
            price = trimmed(quote.mark, quote.instrument.price_digits)
            return {"instId": name, "instType": "SWAP", "markPx": price, "ts": str(now_ms)}
        if channel == "open-interest":
            return self._open_interest(quote, now_ms)
        return self._funding(quote, now_ms)

    def _index(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        item = quote.instrument
        before, high, low = (value * item.multiplier for value in self.model.state(item.symbol).day())
        return {
            "instId": item.index_name,
            "idxPx": trimmed(quote.index, item.price_digits),
            "open24h": trimmed(before, item.price_digits),
            "high24h": trimmed(max(high, quote.index), item.price_digits),
            "low24h": trimmed(min(low, quote.index), item.price_digits),
            "sodUtc0": trimmed(before, item.price_digits),
            "sodUtc8": trimmed(before, item.price_digits),
            "ts": str(now_ms),
        }

    def _open_interest(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        item = quote.instrument
        usd = quote.contracts * item.native_size * (1.0 if item.inverse else quote.mark)
        coins = usd / quote.mark if item.inverse else quote.contracts * item.native_size
        return {
            "instId": item.name,
            "instType": "SWAP",
            "oi": trimmed(quote.contracts, item.oi_digits),
            "oiCcy": trimmed(coins, 10),
            "oiUsd": trimmed(usd, 8),
            "ts": str(now_ms),
        }

    def _funding(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        item = quote.instrument
        interval_ms = item.interval_h * HOUR_MS
        return {
            "formulaType": "withRate",
            "fundingRate": fixed(quote.rate, 16),
            "fundingTime": str(quote.next_ts),
            "impactValue": "20000.0000000000000000",
            "instId": item.name,
            "instType": "SWAP",
            "interestRate": fixed(0.0001 * item.interval_h / 8, 16),
            "maxFundingRate": trimmed(item.cap, 8),
            "method": "current_period",
            "minFundingRate": trimmed(-item.cap, 8),
            "nextFundingRate": "",
            "nextFundingTime": str(quote.next_ts + interval_ms),
            "premium": fixed(quote.premium, 16),
            "prevFundingTime": str(quote.next_ts - interval_ms),
            "settFundingRate": fixed(quote.settled_rate, 16),
            "settState": "settled",
            "ts": str(now_ms),
        }

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        if method != "GET":
            return Answer(405, "{}")
        if path == "/api/v5/public/time":
            return _ok([{"ts": str(now_ms)}])
        name = query.get("instId")
        past = past_name(path)
        if past is not None:
            return self._past(past, name, query, now_ms)
        if path == "/api/v5/market/index-tickers":
            if name is None and "quoteCcy" not in query:
                return _refused("50014", "Parameter instId or quoteCcy can not be empty.")
            rows = [q for key, q in self._indices.items() if key == name or key.endswith(f"-{query.get('quoteCcy')}")]
            return _ok([self._index(quote, now_ms) for quote in rows])
        channels = {"mark-price": "mark-price", "open-interest": "open-interest", "funding-rate": "funding-rate"}
        tail = path.removeprefix("/api/v5/public/")
        if tail != "instruments" and tail not in channels:
            return Answer(404, encode({"msg": "Invalid request URI", "code": "404"}))
        if tail == "funding-rate":
            if name is None:
                return _refused("50014", "Parameter instId can not be empty.")
        elif query.get("instType") is None:
            return _refused("50014", "Parameter instType can not be empty.")
        elif query["instType"] != "SWAP":
            return _refused("51000", "Parameter instType error")
        everything = name is None or name == "ANY"
        quotes = [quote for quote in self.quotes if everything or quote.instrument.name == name]
        if not quotes and not everything:
            return _refused("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
        if tail == "instruments":
            return _ok(self._instruments(quotes, everything))
        return _ok([self._row(tail, quote.instrument.name, now_ms) for quote in quotes])

    def _past(self, what: str, name: str | None, query: Mapping[str, str], now_ms: int) -> Answer:
        if name is None:
            return _refused("50014", "Parameter instId can not be empty.")
        rows: Rows
        if what in CANDLES:
            listed = self._by_name if CANDLES[what] == "mark" else self._indices
            rows = past_candles(what, listed.get(name), query, now_ms)
        elif name not in self._by_name:
            rows = "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist."
        elif what == "funding-rate-history":
            rows = past_funding(self._by_name[name], query, now_ms)
        else:
            rows = past_statistics(what, self._by_name[name], query, now_ms)
        return _refused(*rows) if isinstance(rows, tuple) else _ok(rows)

    def _instruments(self, quotes: list[Quote], everything: bool) -> list[dict[str, Any]]:
        rows = [_instrument(quote) for quote in quotes]
        if everything and quotes:  # a suspended swap, which must not count
            names = {
                "instId": "SIMOLD-USDT-SWAP",
                "uly": "SIMOLD-USDT",
                "instFamily": "SIMOLD-USDT",
                "ctValCcy": "SIMOLD",
            }
            rows.append({**rows[0], **names, "state": "suspend"})
        return rows


def _event(session: Session, number: Any, document: dict[str, Any]) -> str:
    tail = {"connId": session.connection_id}
    return encode({"id": number, **document, **tail} if isinstance(number, str) else {**document, **tail})


def _error(session: Session, number: Any, code: str, message: str) -> Frame:
    return Frame(_event(session, number, {"event": "error", "code": code, "msg": message}))


def _ok(rows: list[Any]) -> Answer:
    return Answer(200, encode({"code": "0", "data": rows, "msg": ""}))


def _refused(code: str, message: str) -> Answer:
    return Answer(200, encode({"code": code, "data": [], "msg": message}))


# -- the past ----------------------------------------------------------------------------------------------------------


Rows = list[Any] | tuple[str, str]  # or a refusal: code, message


def past_name(path: str) -> str | None:
    """The name of the candles or statistics under a path; None if it is none of these."""
    for prefix, names in _PATHS:
        name = path.removeprefix(prefix)
        if name != path and name in names:
            return name
    return None


def past_candles(name: str, quote: Quote | None, query: Mapping[str, str], now_ms: int) -> Rows:
    """One of :data:`CANDLES`; the running candle is not confirmed."""
    minutes = BARS.get(query.get("bar", "1m"))
    span = _span(query, "before", "after", now_ms)
    limit = _limit(query, PAGE)
    if quote is None:
        return "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist."
    if minutes is None:
        return "51000", "Parameter bar error"
    if span is None or limit is None:
        return "51000", "Parameter before, after or limit error"
    digits = quote.instrument.price_digits
    begin_ms, end_ms = span
    if not name.startswith("history-"):
        begin_ms = max(begin_ms, now_ms - RECENT_ROWS * minutes * MINUTE_MS)
    bars = quote.bars(CANDLES[name], begin_ms, end_ms, minutes)
    return [
        [
            str(bar.open_ms),
            *(trimmed(value, digits) for value in (bar.open, bar.high, bar.low, bar.close)),
            "1" if bar.closed else "0",
        ]
        for bar in reversed(bars[-limit:])
    ]


def past_funding(quote: Quote, query: Mapping[str, str], now_ms: int) -> Rows:
    """Settled rates, newest first."""
    span, limit = _span(query, "before", "after", now_ms), _limit(query, 400)
    if span is None or limit is None:
        return "51000", "Parameter before, after or limit error"
    rows = [
        {
            "formulaType": "withRate",
            "fundingRate": fixed(rate, 16),
            "fundingTime": str(settled_ms),
            "instId": quote.instrument.name,
            "instType": "SWAP",
            "method": "current_period",
            "realizedRate": fixed(rate, 16),
        }
        for settled_ms, rate in quote.settlements
        if span[0] <= settled_ms <= span[1]
    ]
    return rows[::-1][:limit]


def past_statistics(name: str, quote: Quote, query: Mapping[str, str], now_ms: int) -> Rows:
    """One of :data:`STATISTICS`."""
    minutes = PERIODS.get(query.get("period", "5m"))
    span, limit = _span(query, "begin", "end", now_ms), _limit(query, PAGE)
    if minutes is None:
        return "51000", "Parameter period error"
    if span is None or limit is None:
        return "51000", "Parameter begin, end or limit error"
    length_ms = minutes * MINUTE_MS
    if name in RATIOS:  # only the present one is known here
        share = quote.long_share(RATIOS[name])
        at_ms = now_ms // length_ms * length_ms
        return [[str(at_ms), trimmed(share / (1 - share), 4)]] if span[0] <= at_ms <= span[1] else []
    points = quote.past.points(span[0], span[1], length_ms)[-limit:][::-1]
    if name == "open-interest-history":
        return [_interest(quote, point) for point in points]
    unit = query.get("unit", "1")
    return [_taken(quote, point, unit, minutes) for point in points]


def _interest(quote: Quote, point: Point) -> list[str]:
    """[time, contracts, coins, dollars] at the time."""
    item = quote.instrument
    size = point.contracts * item.native_size
    coins, usd = (size / point.mark, size) if item.inverse else (size, size * point.mark)
    return [str(point.ts), trimmed(point.contracts, item.oi_digits), trimmed(coins, 10), trimmed(usd, 8)]


def _taken(quote: Quote, point: Point, unit: str, minutes: int) -> list[str]:
    """[time, sold, bought]: a plausible turnover, in coins (0), contracts (1) or dollars (2)."""
    _, contracts, coins, usd = _interest(quote, point)
    whole = float({"0": coins, "2": usd}.get(unit, contracts)) * minutes / (1.4 * 24 * HOUR_MS / MINUTE_MS)
    share = quote.long_share("account")
    return [str(point.ts), trimmed(whole * (1 - share), 4), trimmed(whole * share, 4)]


def _span(query: Mapping[str, str], newer: str, older: str, now_ms: int) -> tuple[int, int] | None:
    """[first, last] in ms that a request asks for; None where a bound is no number."""
    first, last = query.get(newer, "-1"), query.get(older, str(now_ms + 1))
    if not (first.removeprefix("-").isdecimal() and last.isdecimal()):
        return None
    return int(first) + 1, min(int(last) - 1, now_ms)


def _limit(query: Mapping[str, str], most: int) -> int | None:
    text = query.get("limit", str(PAGE))
    return min(int(text), most) if text.isdecimal() and int(text) > 0 else None
