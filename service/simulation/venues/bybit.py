"""Bybit V5 as its page describes it: linear and inverse sockets, ticker snapshots and deltas, JSON pings.

Trades and liquidations have no snapshot: nothing is sent again on subscribing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from service.simulation.market import HOUR_MS, MarketModel, Quote
from service.simulation.minutes import Price
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
    strings,
    trimmed,
    whole,
)  # fmt: skip
from service.simulation.quotes import Trade

IDLE_MS = 600_000  # without a client message
MAX_ARGS_CHARACTERS = 21_000
TOPIC = "tickers."
TRADES = "publicTrade."
LIQUIDATIONS = "allLiquidation."
_CATEGORIES = ("linear", "inverse")
PERIODS = {"5min": 300_000, "15min": 900_000, "30min": 1_800_000, "1h": HOUR_MS, "4h": 4 * HOUR_MS}
INTERVALS = {"1": 1, "3": 3, "5": 5, "15": 15, "30": 30, "60": 60}
BLOCKS_ONE_IN = 97  # trades are block trades, which are no taker flow


# -- rows --------------------------------------------------------------------------------------------------------------


def _instrument_row(quote: Quote, name: str, dated: str, status: str) -> dict[str, Any]:
    item = quote.instrument
    tick = fixed(10.0**-item.price_digits, item.price_digits)
    step = fixed(10.0**-item.oi_digits, item.oi_digits)
    return {
        "symbol": name,
        "contractType": ("Inverse" if item.inverse else "Linear") + (dated or "Perpetual"),
        "status": status,
        "baseCoin": item.base,
        "quoteCoin": item.quote,
        "launchTime": "1585526400000",
        "deliveryTime": "1806048000000" if dated else "0",
        "deliveryFeeRate": "",
        "priceScale": str(item.price_digits),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": tick, "maxPrice": "1999999.80", "tickSize": tick},
        "lotSizeFilter": {
            "maxOrderQty": "1190.000",
            "minOrderQty": step,
            "qtyStep": step,
            "postOnlyMaxOrderQty": "1190.000",
            "maxMktOrderQty": "119.000",
            "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": item.interval_h * 60,  # minutes here, hours in the ticker
        "settleCoin": item.base if item.inverse else item.quote,
        "copyTrading": "both",
        "upperFundingRate": trimmed(item.cap, 8),
        "lowerFundingRate": trimmed(-item.cap, 8),
        "isPreListing": status == "PreLaunch",
        "preListingInfo": None,
    }


def trade_row(quote: Quote, done: Trade) -> dict[str, Any]:
    """``v``: coins, dollars on an inverse contract."""
    item = quote.instrument
    return {
        "T": done.ts,
        "s": item.name,
        "S": done.taker.capitalize(),
        "v": fixed(done.contracts, item.oi_digits),
        "p": fixed(done.price, item.price_digits),
        "L": "PlusTick" if done.taker == "buy" else "MinusTick",
        "i": f"00000000-0000-5000-8000-{done.number:012x}",
        "BT": is_block(done),
        "RPI": False,
        "seq": done.number,
    }


def is_block(done: Trade) -> bool:
    """Whether the venue marks it as a block trade; forced ones never are."""
    return done.liquidated is None and done.number % BLOCKS_ONE_IN == 0


def liquidation_row(quote: Quote, forced: Trade) -> dict[str, Any]:
    """The side is the position's: Buy means that a long was closed."""
    item = quote.instrument
    return {
        "T": forced.ts,
        "s": item.name,
        "S": "Buy" if forced.liquidated == "long" else "Sell",
        "v": fixed(forced.contracts, item.oi_digits),
        "p": fixed(forced.price, item.price_digits),
    }


# -- the server --------------------------------------------------------------------------------------------------------

PAGE_ROWS = 5  # the venue has up to 1,000 to a page; the demo's lists are shorter and page all the same
CURSOR = "next&from="  # an opaque text; unencoded, it is no cursor


class Bybit(Protocol):
    venue = "bybit"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._listed = {
            category: by_name(quote for quote in self.quotes if quote.instrument.inverse == (category == "inverse"))
            for category in _CATEGORIES
        }
        self._topics = {TOPIC + quote.instrument.name: quote for quote in self.quotes}
        self._state: dict[str, dict[str, str]] = {}  # topic -> fields as last pushed
        self._pushed: dict[str, None] = {}  # topics whose state every subscriber has
        self._cs = 818_232_112_541
        self._ts = 0

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        bases = {category: f"ws://{authority}/v5/public/{category}" for category in _CATEGORIES}
        return bases, f"http://{authority}"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        for category in _CATEGORIES:
            if path == f"/v5/public/{category}":
                return Session(category, session_id, now_ms, last_in_ms=now_ms)
        return None

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        session.count_in(now_ms)
        request = parse(text)
        operation = request.get("op") if isinstance(request, dict) else None
        number = request.get("req_id", "") if isinstance(request, dict) else ""
        if operation == "ping":
            return [Frame(_reply(session, True, "pong", number, "ping"))]
        if operation not in ("subscribe", "unsubscribe"):
            return [Frame(_reply(session, False, "error:invalid op", number, str(operation or "")))]
        topics = strings(request.get("args"))
        if not topics:
            return [Frame(_reply(session, False, "error:args is empty", number, operation))]
        if sum(map(len, {**session.topics, **dict.fromkeys(topics)})) > MAX_ARGS_CHARACTERS:
            return [Frame(_reply(session, False, "error:args size exceeds 21000", number, operation))]
        for topic in topics:  # one bad topic fails the request
            if self._quote_of(session.kind, topic) is None:
                return [Frame(_reply(session, False, f"error:handler not found,topic:{topic}", number, operation))]
        ack = Frame(_reply(session, True, "", number, operation))
        if operation == "unsubscribe":
            for topic in topics:
                session.topics.pop(topic, None)
            return [ack]
        data: list[Out] = []
        for topic in topics:
            session.topics[topic] = None
            if topic.startswith(TOPIC):
                data.append(Frame(self._snapshot(topic, now_ms), topic))
        # Data can arrive before the ack: clients must not wait for it.
        return [*data, ack] if self.rng.random() < 0.3 else [ack, *data]

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        self._pushed = dict(wanted)
        for topic in wanted:
            if not topic.startswith(TOPIC):
                if now_ms % 1000 == 0:
                    yield from self._events(topic, now_ms)
                continue
            quote = self._topics[topic]
            before = self._state[topic]
            after = {**before, **self._book(quote)} if now_ms % 1000 != 0 else self._fields(quote)
            changed = {key: value for key, value in after.items() if before[key] != value}
            if changed:
                self._state[topic] = after
                data = {"symbol": quote.instrument.name, **changed}
                yield Frame(self._message(topic, "delta", data, now_ms), topic)

    def _quote_of(self, category: str, topic: str) -> Quote | None:
        for prefix in (TOPIC, TRADES, LIQUIDATIONS):
            if topic.startswith(prefix):
                return self._listed[category].get(topic.removeprefix(prefix))
        return None

    def _events(self, topic: str, now_ms: int) -> Iterator[Frame]:
        """Trades, or liquidations, of the last second."""
        name = topic.partition(".")[2]
        quote = self._topics[TOPIC + name]
        if topic.startswith(TRADES):
            rows = [trade_row(quote, trade) for trade in quote.trades()]
        else:
            rows = [liquidation_row(quote, trade) for trade in quote.liquidations()]
        if rows:
            yield Frame(encode({"topic": topic, "type": "snapshot", "ts": now_ms, "data": rows}), topic)

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        return [Hangup(1000, "idle")] if now_ms - session.last_in_ms >= IDLE_MS else []

    def _snapshot(self, topic: str, now_ms: int) -> str:
        """The state that the deltas to come are relative to."""
        if topic not in self._pushed:
            self._state[topic] = self._fields(self._topics[topic])
            self._pushed[topic] = None
        data = {"symbol": self._topics[topic].instrument.name, **self._state[topic]}
        return self._message(topic, "snapshot", data, now_ms)

    def _message(self, topic: str, kind: str, data: dict[str, str], now_ms: int) -> str:
        self._cs += self.rng.randrange(30, 300)
        self._ts = max(self._ts, now_ms)
        return encode({"topic": topic, "type": kind, "data": data, "cs": self._cs, "ts": self._ts})

    def _book(self, quote: Quote) -> dict[str, str]:
        digits = quote.instrument.price_digits
        size = quote.contracts / 20_000
        return {
            "bid1Price": fixed(quote.mark - 10.0**-digits, digits),
            "bid1Size": fixed(size * self.rng.uniform(0.2, 2.0), quote.instrument.oi_digits),
            "ask1Price": fixed(quote.mark, digits),
            "ask1Size": fixed(size * self.rng.uniform(0.2, 2.0), quote.instrument.oi_digits),
        }

    def _fields(self, quote: Quote) -> dict[str, str]:
        item = quote.instrument
        digits, oi_digits = item.price_digits, item.oi_digits
        before, high, low = self.model.state(item.symbol).day()
        volume = day_volume(quote)
        mark = quote.mark
        # An inverse contract is 1 USD: interest in USD, its value in coins. Both-sided unless it says "single".
        single_value = quote.contracts / mark if item.inverse else quote.contracts * mark
        turnover, base_volume = (volume, volume * mark) if item.inverse else (volume * mark, volume)
        last = fixed(mark, digits)
        return {
            "tickDirection": "ZeroMinusTick" if quote.premium < -0.0004 else "PlusTick",
            "price24hPcnt": fixed(mark / before - 1, 6),
            "lastPrice": last,
            "prevPrice24h": fixed(before, digits),
            "highPrice24h": fixed(max(high, mark), digits),
            "lowPrice24h": fixed(min(low, mark), digits),
            "prevPrice1h": fixed(self.model.state(item.symbol).hours[-1][1], digits),
            "markPrice": last,
            "indexPrice": fixed(quote.index, digits),
            "openInterest": fixed(2 * quote.contracts, oi_digits),
            "openInterestValue": fixed(2 * single_value, 2),
            "turnover24h": fixed(turnover, 4),
            "volume24h": fixed(base_volume, 4),
            "fundingIntervalHour": str(item.interval_h),
            "fundingCap": trimmed(item.cap, 8),
            "singleOpenInterest": fixed(quote.contracts, oi_digits),
            "singleOpenInterestValue": fixed(single_value, 2),
            "nextFundingTime": str(quote.next_ts),
            "fundingRate": trimmed(quote.rate, 8),
            **self._book(quote),
            "preOpenPrice": "",
            "preQty": "",
            "curPreListingPhase": "",
        }

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        if method != "GET":
            return Answer(405, "{}")
        if path == "/v5/market/time":
            seconds = now_ms // 1000
            return _ok({"timeSecond": str(seconds), "timeNano": str(now_ms * 1_000_000)}, now_ms)
        what = path.removeprefix("/v5/market/")
        if what == path or (what not in ("instruments-info", "tickers") and what not in HISTORY):
            return Answer(
                404,
                encode({"retCode": 10404, "retMsg": "path not found", "result": {}, "retExtInfo": {}, "time": now_ms}),
            )
        category = query.get("category", "")
        if category not in _CATEGORIES:
            return _refused(10001, "Illegal category", now_ms)
        name = query.get("symbol")
        if name is not None and name not in self._listed[category]:
            return _refused(10001, "params error: symbol invalid", now_ms)
        listed = self._listed[category]
        quotes = [listed[name]] if name is not None else list(listed.values())
        if what == "tickers":
            rows = [{"symbol": quote.instrument.name, **self._fields(quote)} for quote in quotes]
            return _ok({"category": category, "list": rows}, now_ms)
        if what == "instruments-info":
            return self._instruments(category, quotes, query, name is None, now_ms)
        if name is None:
            return _refused(10001, "params error: symbol required", now_ms)
        result = HISTORY[what](listed[name], query, now_ms)
        if isinstance(result, str):
            return _refused(10001, f"params error: {result} invalid", now_ms)
        return _ok({"symbol": name, "category": category, **result}, now_ms)

    def _instruments(
        self, category: str, quotes: list[Quote], query: Mapping[str, str], everything: bool, now_ms: int
    ) -> Answer:
        rows = [_instrument_row(quote, quote.instrument.name, "", "Trading") for quote in quotes]
        if everything and quotes:  # what a client must leave out: a dated future, a perpetual not yet trading
            base = quotes[0].instrument.base
            rows.append(_instrument_row(quotes[0], f"{base}-26MAR27", "Futures", "Trading"))
            if category == "linear":
                rows.append({**_instrument_row(quotes[0], "SIMNEWUSDT", "", "PreLaunch"), "baseCoin": "SIMNEW"})
        limit = query.get("limit", "500")
        cursor = (query.get("cursor", "") or f"{CURSOR}0").removeprefix(CURSOR)
        if not (
            limit.isascii() and limit.isdigit() and 0 < int(limit) <= 1000 and cursor.isascii() and cursor.isdigit()
        ):
            return _refused(10001, "params error: limit invalid", now_ms)
        begin, end = int(cursor), int(cursor) + min(int(limit), PAGE_ROWS)
        following = f"{CURSOR}{end}" if end < len(rows) else ""
        return _ok({"category": category, "list": rows[begin:end], "nextPageCursor": following}, now_ms)


def _reply(session: Session, success: bool, message: str, number: Any, operation: str) -> str:
    document = {"success": success, "ret_msg": message, "conn_id": session.connection_id}
    return encode({**document, "req_id": number if isinstance(number, str) else "", "op": operation})


def _ok(result: dict[str, Any], now_ms: int) -> Answer:
    return Answer(200, encode({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now_ms}))


def _refused(code: int, message: str, now_ms: int) -> Answer:
    return Answer(200, encode({"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": now_ms}))


# -- the past: newest first, both-sided interest, its odd stamps (venue page) ------------------------------------------


Result = dict[str, Any] | str
"""What goes into ``result``, or the name of the parameter that is wrong."""


def _bars(price: Price) -> Callable[[Quote, Mapping[str, str], int], Result]:
    def bars(quote: Quote, query: Mapping[str, str], now_ms: int) -> Result:
        minutes = INTERVALS.get(query.get("interval", ""))
        first, last = whole(query, "start", 0), whole(query, "end", now_ms)
        limit = whole(query, "limit", 200)
        if minutes is None:
            return "interval"
        if first is None or last is None or limit is None or not 0 < limit <= 1000:
            return "limit"
        digits = quote.instrument.price_digits
        rows = [
            [str(bar.open_ms), *(fixed(value, digits) for value in (bar.open, bar.high, bar.low, bar.close))]
            for bar in quote.bars(price, first, last, minutes)
        ]
        return {"list": rows[::-1][:limit]}

    return bars


def _interest(quote: Quote, query: Mapping[str, str], now_ms: int) -> Result:
    """As of each stamp; the oldest row of a page is stamped in seconds (seen in 2026)."""
    period_ms = PERIODS.get(query.get("intervalTime", ""))
    first, last = whole(query, "startTime", 0), whole(query, "endTime", now_ms)
    limit, skipped = whole(query, "limit", 50), whole(query, "cursor", 0)
    if period_ms is None:
        return "intervalTime"
    if first is None or last is None or limit is None or skipped is None or not 0 < limit <= 200:
        return "limit"
    digits = quote.instrument.oi_digits
    points = quote.past.points(first, last, period_ms)[::-1]
    page = points[skipped : skipped + limit]
    rows = [
        {
            "openInterest": fixed(2 * point.contracts, 8),
            "singleOpenInterest": fixed(point.contracts, digits),
            "timestamp": str(point.ts if place + 1 < len(page) else point.ts // 1000),
        }
        for place, point in enumerate(page)
    ]
    return {"list": rows, "nextPageCursor": str(skipped + limit) if skipped + limit < len(points) else ""}


def _fundings(quote: Quote, query: Mapping[str, str], now_ms: int) -> Result:
    """A start without an end is refused."""
    first, last, limit = whole(query, "startTime", 0), whole(query, "endTime", now_ms), whole(query, "limit", 200)
    if "startTime" in query and "endTime" not in query:
        return "endTime"
    if first is None or last is None or limit is None or not 0 < limit <= 200:
        return "limit"
    rows = [
        {"symbol": quote.instrument.name, "fundingRate": trimmed(rate, 8), "fundingRateTimestamp": str(ts)}
        for ts, rate in reversed(quote.settlements)
        if first <= ts <= last
    ]
    return {"list": rows[:limit]}


def _ratio(quote: Quote, query: Mapping[str, str], now_ms: int) -> Result:
    """The newest share of accounts; contracts settled in USDC have none."""
    period_ms, limit = PERIODS.get(query.get("period", "")), whole(query, "limit", 50)
    if period_ms is None:
        return "period"
    if limit is None or not 0 < limit <= 500 or quote.instrument.quote == "USDC":
        return "symbol"
    share = quote.long_share("account")
    row = {
        "symbol": quote.instrument.name,
        "buyRatio": fixed(share, 4),
        "sellRatio": fixed(1 - share, 4),
        "timestamp": str(now_ms // period_ms * period_ms),
    }
    return {"list": [row], "nextPageCursor": ""}


HISTORY: dict[str, Callable[[Quote, Mapping[str, str], int], Result]] = {
    "mark-price-kline": _bars("mark"),
    "index-price-kline": _bars("index"),
    "open-interest": _interest,
    "funding/history": _fundings,
    "account-ratio": _ratio,
}
