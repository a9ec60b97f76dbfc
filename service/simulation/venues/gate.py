"""Gate's futures as its page describes it: USDT and BTC sockets, a contract a request, internal prints, JSON pings.

Sizes are sent as a client gets them that has set the size header: decimal text. Over HTTP times are in seconds, prices
are text, the figures of the statistics are numbers (venue page). `total_size` and the statistics count both sides,
`position_size` one; :attr:`Gate.sides` may be set to 1, as the venue counted until 2023.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from service.simulation.market import MarketModel, Quote
from service.simulation.minutes import MINUTE_MS, Price
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

PREFIX = "/api/v4"
SETTLES = ("usdt", "btc")
ALONE_MS = 30_000  # a socket without subscriptions is closed
EVERYTHING = "!all"
_CHANNELS = {
    "futures.tickers": 1, "futures.trades": 1, "futures.public_liquidates": 1, "futures.contract_stats": 2,
}  # fmt: skip
_PERIODS = {"1m": 60_000, "5m": 300_000}
REQUESTS_PER_10_S = 200  # of one endpoint
CANDLES_A_PAGE = 2000
STATISTICS_A_PAGE = 100
FORCED_A_PAGE = 1000
INTERVALS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60}
TOP_SHARE = 0.3  # of the open interest is held by the top traders


# -- rows --------------------------------------------------------------------------------------------------------------


def ticker(model: MarketModel, quote: Quote, now_ms: int, sides: int = 2) -> dict[str, Any]:
    """A row of ``futures.tickers``."""
    item, digits = quote.instrument, quote.instrument.price_digits
    before, high, low = (value * item.multiplier for value in model.state(item.symbol).day())
    base = day_volume(quote) / item.multiplier
    rate = trimmed(quote.rate, 8)
    return {
        "contract": item.name,
        "last": trimmed(quote.mark, digits),
        "change_percentage": fixed((quote.mark / before - 1) * 100, 4),
        "total_size": trimmed(sides * quote.contracts, item.oi_digits),
        "volume_24h": fixed(base / (quote.contract_coins / item.multiplier), 0),
        "volume_24h_base": trimmed(base, 4),
        "volume_24h_quote": fixed(base * quote.mark, 0),
        "volume_24h_settle": trimmed(base if item.inverse else base * quote.mark, 4),
        "mark_price": trimmed(quote.mark, digits),
        "funding_rate": rate,
        "funding_rate_indicative": rate,
        "funding_interval": item.interval_h * 3600,
        "funding_offset": 0,
        "funding_next_apply": quote.next_ts // 1000,
        "index_price": trimmed(quote.index, digits),
        "quanto_base_rate": "",
        "low_24h": trimmed(min(low, quote.mark), digits),
        "high_24h": trimmed(max(high, quote.mark), digits),
        "price_type": "last",
        "change_from": "24h",
        "change_price": trimmed(quote.mark - before, digits),
        "t": now_ms - 676,
    }


def statistics(quote: Quote, stamp_ms: int, live: bool, at_ms: int | None = None, sides: int = 2) -> dict[str, Any]:
    """A row of contract statistics stamped with its period's start; of ``at_ms``, its end, where that is past.

    Live rows name their contract and have text for sizes; the shares are always those of now.
    """
    points = [] if at_ms is None else quote.past.points(at_ms, at_ms)
    mark = points[0].mark if points else quote.mark
    contracts = points[0].contracts if points else quote.contracts
    coins = contracts * quote.coins_each(mark) / quote.instrument.multiplier
    account, top_account, top = (quote.long_share(kind) for kind in ("account", "top_account", "top_position"))
    held = round(contracts * TOP_SHARE)
    long = round(held * top)
    forced = {"long": 0.0, "short": 0.0}
    for trade in quote.liquidations() if live else ():
        forced[trade.liquidated or "long"] += trade.contracts
    bought, sold = quote.flow_coins()
    row: dict[str, Any] = {"time": stamp_ms // 1000, "mark_price": mark}
    if live:
        row["contract"] = quote.instrument.name
    for side, size in forced.items():
        row[f"{side}_liq_size"] = str(size) if live else size
        row[f"{side}_liq_amount"] = 0
        row[f"{side}_liq_usd"] = 0
    return {
        **row,
        "lsr_taker": bought / sold if sold > 0 else 0,
        "lsr_account": account / (1 - account),
        "open_interest": trimmed(sides * contracts, quote.instrument.oi_digits) if live else sides * contracts,
        "open_interest_usd": sides * coins * mark,
        "top_lsr_account": top_account / (1 - top_account),
        "top_lsr_size": top / (1 - top),
        "top_long_size": str(long) if live else long,
        "top_short_size": str(held - long) if live else held - long,
    }


def _contract(quote: Quote) -> dict[str, Any]:
    item, digits = quote.instrument, quote.instrument.price_digits
    rate = trimmed(quote.rate, 8)
    return {
        "funding_rate_indicative": rate,
        "mark_price_round": trimmed(10.0**-digits, digits),
        "funding_offset": 0,
        "in_delisting": False,
        "risk_limit_base": "1000000",
        "interest_rate": "0.0003",
        "index_price": trimmed(quote.index, digits),
        "order_price_round": trimmed(10.0**-digits, digits),
        "order_size_min": "1",
        "ref_rebate_rate": "0.2",
        "name": item.name,
        "ref_discount_rate": "0",
        "order_price_deviate": "0.5",
        "maintenance_rate": "0.005",
        "mark_type": "index",
        "funding_interval": item.interval_h * 3600,
        "type": "inverse" if item.inverse else "direct",
        "risk_limit_step": "1000000",
        "enable_bonus": True,
        "leverage_min": "1",
        "funding_rate": rate,
        "funding_rate_limit": trimmed(item.cap, 8),
        "last_price": trimmed(quote.mark, digits),
        "mark_price": trimmed(quote.mark, digits),
        "order_size_max": "1000000",
        "funding_next_apply": quote.next_ts // 1000,
        "short_users": 2187,
        "enable_credit": True,
        "config_change_time": 1682318747,
        "create_time": 0,
        "trade_size": 39089177375,
        "position_size": trimmed(quote.contracts, item.oi_digits),
        "long_users": 4456,
        "quanto_multiplier": "0" if item.inverse else trimmed(item.native_size, 8),
        "funding_impact_value": "20000",
        "leverage_max": "100",
        "risk_limit_max": "30000000",
        "maker_fee_rate": "-0.0001368",
        "taker_fee_rate": "0.00075",
        "orders_limit": 100,
        "trade_id": 226414456,
        "orderbook_id": 42043499829,
        "status": "trading",
        "enable_decimal": False,
        "contract_type": "",
    }


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


def _forced(quote: Quote, trade: Trade) -> dict[str, Any]:
    """The same order in the list: signed as itself, beside the position that it closed half of; in seconds."""
    order, position = (trimmed(times * trade.contracts, quote.instrument.oi_digits) for times in (1, 2))
    sold = trade.taker == "sell"
    price = trimmed(trade.price, quote.instrument.price_digits)
    return {
        "contract": quote.instrument.name,
        "left": "0",
        "size": position if sold else f"-{position}",
        "order_size": f"-{order}" if sold else order,
        "fill_price": price,
        "order_price": price,
        "time": trade.ts // 1000,
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


# -- the server --------------------------------------------------------------------------------------------------------


class Gate(Protocol):
    venue = "gate"
    sides = 2

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._listed = {
            settle: by_name(quote for quote in self.quotes if quote.instrument.inverse is (settle == "btc"))
            for settle in SETTLES
        }
        self._forced: deque[tuple[str, dict[str, Any]]] = deque(maxlen=FORCED_A_PAGE)  # settlement, row; oldest first
        self._forced_ms = 0  # second up to which they are there
        self._window = 0  # of ten seconds
        self._asked: dict[str, int] = {}  # requests in it, by endpoint

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
        if now_ms > self._forced_ms:
            self._forced_ms = now_ms
            for settle, listed in self._listed.items():
                for quote in listed.values():
                    self._forced.extend((settle, _forced(quote, trade)) for trade in quote.liquidations())
        for topic in wanted:
            settle, channel, name, *period = topic.split("|")
            listed = self._listed[settle]
            if period:
                if now_ms % _PERIODS[period[0]] == 0:
                    stamp_ms = now_ms // _PERIODS[period[0]] * _PERIODS[period[0]]
                    row = statistics(listed[name], stamp_ms, True, sides=self.sides)
                    yield Frame(_message(channel, row, now_ms), topic)
            elif channel == "futures.tickers":
                yield Frame(_message(channel, [ticker(self.model, listed[name], now_ms, self.sides)], now_ms), topic)
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

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        parts = path.removeprefix(f"{PREFIX}/futures/").split("/")
        if method != "GET" or len(parts) < 2 or parts[0] not in self._listed:
            return Answer(404, encode({"label": "NOT_FOUND", "message": "Request path not found"}))
        if self._window != now_ms // 10_000:
            self._window, self._asked = now_ms // 10_000, {}
        self._asked[parts[1]] = self._asked.get(parts[1], 0) + 1
        if self._asked[parts[1]] > REQUESTS_PER_10_S:
            return Answer(429, encode({"label": "TOO_MANY_REQUESTS", "message": "Request Rate limit Exceeded (200)"}))
        listed, what = self._listed[parts[0]], parts[1]
        name = parts[2] if len(parts) == 3 else query.get("contract")
        if what == "contracts":
            return self._contracts(listed, name, parts[0])
        if what == "liq_orders":
            return _ok([row for settle, row in reversed(self._forced) if settle == parts[0]])
        if what == "tickers" and name is None:
            return _ok([self._ticker(quote, now_ms) for quote in listed.values()])
        if what not in ("tickers", "candlesticks", "contract_stats", "funding_rate"):
            return Answer(404, encode({"label": "NOT_FOUND", "message": "Request path not found"}))
        prices: dict[str, Price] = {"mark_": "mark", "index_": "index"}
        price: Price = "mark"
        if what == "candlesticks":
            for prefix, kind in prices.items():
                if name is not None and name.startswith(prefix):
                    name, price = name.removeprefix(prefix), kind
        quote = listed.get(name or "")
        if quote is None:
            return _refused("CONTRACT_NOT_FOUND", f"contract {name} not found")
        if what == "tickers":
            return _ok([self._ticker(quote, now_ms)])
        if what == "funding_rate":
            return self._rates(quote, query)
        return self._series(quote, query, price if what == "candlesticks" else None, now_ms)

    @staticmethod
    def _rates(quote: Quote, query: Mapping[str, str]) -> Answer:
        """Newest first."""
        limit = whole(query, "limit", 100)
        if limit is None or not 0 < limit <= 1000:
            return _refused("INVALID_PARAM_VALUE", "limit")
        rows = [{"r": trimmed(rate, 8), "t": ts // 1000} for ts, rate in reversed(quote.settlements)]
        return _ok(rows[:limit])

    def _series(self, quote: Quote, query: Mapping[str, str], price: Price | None, now_ms: int) -> Answer:
        """Candles of ``price``, or statistics for None; oldest first. ``limit`` excludes a span of candles."""
        minutes = INTERVALS.get(query.get("interval", "5m"))
        first, last = whole(query, "from", 0), whole(query, "to", now_ms // 1000)
        limit = whole(query, "limit", 100 if price is not None else 30)
        if minutes is None or first is None or last is None or limit is None or limit == 0:
            return _refused("INVALID_PARAM_VALUE", "invalid argument")
        bounded = "from" in query or "to" in query
        if price is None:
            length_ms = minutes * MINUTE_MS
            span = quote.past.points(first * 1000 + length_ms, now_ms, length_ms)
            limit = min(limit, STATISTICS_A_PAGE)
            points = span[:limit] if bounded else span[-limit:]
            return _ok([statistics(quote, point.ts - length_ms, False, point.ts, self.sides) for point in points])
        if bounded and "limit" in query:
            return _refused("INVALID_PARAM_VALUE", "limit cannot be used with from or to")
        bars = quote.bars(price, first * 1000, last * 1000, minutes)
        if len(bars) > CANDLES_A_PAGE:
            if bounded:
                return _refused("INVALID_PARAM_VALUE", "Candlestick too long ago. Maximum 2000 points ago are allowed")
            bars = bars[-CANDLES_A_PAGE:]
        if not bounded:
            bars = bars[-limit:]
        digits = quote.instrument.price_digits
        rows = [
            {
                "o": trimmed(bar.open, digits),
                "v": 0,
                "t": bar.open_ms // 1000,
                "c": trimmed(bar.close, digits),
                "l": trimmed(bar.low, digits),
                "h": trimmed(bar.high, digits),
                "sum": "0",
            }
            for bar in bars
        ]
        return _ok(rows)

    def _ticker(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        """As streamed, but without what was added to the stream in 2026, and with the contract's size."""
        added = ("funding_interval", "funding_offset", "funding_next_apply", "price_type", "t")
        row = ticker(self.model, quote, now_ms, self.sides)
        size = "0" if quote.instrument.inverse else trimmed(quote.instrument.native_size, 8)
        return {**{key: value for key, value in row.items() if key not in added}, "quanto_multiplier": size}

    def _contracts(self, listed: Mapping[str, Quote], name: str | None, settle: str) -> Answer:
        if name is not None:
            quote = listed.get(name)
            return _refused("CONTRACT_NOT_FOUND", name) if quote is None else _ok(_contract(quote))
        rows = [_contract(quote) for quote in listed.values()]
        if rows and settle == "usdt":  # what a client must leave out: one on its way out, a stock
            rows.append({**rows[0], "name": "SIMOLD_USDT", "in_delisting": True})
            rows.append({**rows[0], "name": "SIMSTOCK_USDT", "contract_type": "stocks"})
        return _ok(rows)


def _message(channel: str, result: Any, now_ms: int) -> str:
    head = {"time": now_ms // 1000, "time_ms": now_ms, "channel": channel, "event": "update"}
    return encode({**head, "result": result})


def _ok(document: Any) -> Answer:
    return Answer(200, encode(document))


def _refused(label: str, message: str) -> Answer:
    return Answer(400, encode({"label": label, "message": message}))
