"""Binance futures as their pages describe them, USD-M and COIN-M.

USD-M: routed streams, silent wrong routes, OI over HTTP, server pings. COIN-M: the same, but unrouted, in contracts of
dollars, indices by pair. Streams of all symbols have the rows of both on either host. The request weight is one, of
both hosts together; ``/futures/data/*`` and the funding endpoints have limits of their own, apart from it. A figure of
open interest stamped T is of the end of the five minutes that begin at T, and there once they are over.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from service.model import LongShortKind
from service.simulation.instruments import MAJORS
from service.simulation.market import HOUR_MS, MarketModel, Quote
from service.simulation.minutes import MINUTE_MS, Price
from service.simulation.protocol import (
    Answer,
    Frame,
    Hangup,
    Out,
    Protocol,
    ServerPing,
    Session,
    by_name,
    encode,
    fixed,
    parse,
    strings,
    trimmed,
    whole,
)  # fmt: skip
from service.simulation.quotes import Trade

PING_EVERY_MS = 180_000  # the server pings each 3 minutes and waits 10 for a pong
PONG_WITHIN_MS = 600_000
MESSAGES_PER_S = 10
MAX_STREAMS = 1024
WEIGHT_PER_MINUTE = 2400
OI_REFRESH_MS = 5_000  # an OI figure is some seconds old, with its own time
LIFETIME_MS = 24 * HOUR_MS
WINDOW_MS = 300_000  # of the limits apart from the weight
REQUESTS_PER_WINDOW = {"data": 1000, "funding": 500}
FORCE_ORDERS = "!forceOrder@arr"
PERPETUAL = "_PERP"
STATISTICS_MS = 300_000  # all of `/futures/data` is served in five minutes
PERIODS = {"5m": 300_000, "15m": 900_000, "30m": 1_800_000, "1h": HOUR_MS, "4h": 4 * HOUR_MS}
RATIOS: dict[str, LongShortKind] = {
    "globalLongShortAccountRatio": "account",
    "topLongShortAccountRatio": "top_account",
    "topLongShortPositionRatio": "top_position",
}
INTERVALS = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60}
_LATE_MS = 17  # settlements are stamped up to so many ms after the hour
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_PATH = re.compile(r"(?:/(public|market|private))?/(ws|stream)(?:/(.+))?").fullmatch
_MARK = re.compile(r"([^\W_A-Z]+)@markPrice(@1s)?").fullmatch
_EVENTS = re.compile(r"([^\WA-Z]+)@(aggTrade|forceOrder)").fullmatch
_ARRAY = re.compile(r"!markPrice@arr(@1s)?").fullmatch
_UNROUTED_PATH = re.compile(r"/(ws|stream)(?:/(.+))?").fullmatch
_COINM_STREAM = re.compile(r"([^\W_A-Z]+)(_perp|)@(markPrice|indexPrice|aggTrade|forceOrder)(@1s)?").fullmatch
_COINM_ARRAY = re.compile(r"!(markPrice|forceOrder)@arr(@1s)?").fullmatch
Reply = tuple[int, Any]
_ILLEGAL: Reply = (400, {"code": -1130, "msg": "parameter is not valid."})
INVALID_SYMBOL: Reply = (400, {"code": -1121, "msg": "Invalid symbol."})


class _Used:
    """What an address has used of the limits, over both hosts: ``requests`` by :data:`REQUESTS_PER_WINDOW`."""

    def __init__(self) -> None:
        self.minute = self.weight = self.window = 0
        self.requests = dict.fromkeys(REQUESTS_PER_WINDOW, 0)

    def count(self, weight: int, group: str | None, now_ms: int) -> bool:
        """One request more; whether it is within the limits."""
        if now_ms // 60_000 != self.minute:
            self.minute, self.weight = now_ms // 60_000, 0
        if now_ms // WINDOW_MS != self.window:
            self.window, self.requests = now_ms // WINDOW_MS, dict.fromkeys(self.requests, 0)
        self.weight += weight
        if group is not None:
            self.requests[group] += 1
        return self.weight <= WEIGHT_PER_MINUTE and (
            group is None or self.requests[group] <= REQUESTS_PER_WINDOW[group]
        )


_used: WeakKeyDictionary[MarketModel, dict[tuple[str, ...], _Used]] = WeakKeyDictionary()


# -- USD-M, and what both share ----------------------------------------------------------------------------------------


class BinanceUsdm(Protocol):
    venue = "binance_usdm"
    products: tuple[str, ...] = ("binance_usdm", "binance_coinm")  # that share one weight and the streams of all
    api = "/fapi/v1/"
    max_streams = MAX_STREAMS
    ping_every_ms = PING_EVERY_MS
    pong_within_ms = PONG_WITHIN_MS

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)
        self._all = tuple(quote for venue in self.products for quote in model.quotes(venue))
        self._used = _used.setdefault(model, {}).setdefault(self.products, _Used())
        self._oi: dict[str, tuple[int, float]] = {}
        self._aggregates = dict.fromkeys(self._by_name, 309_896_910)

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"market": f"ws://{authority}/market"}, f"http://{authority}"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        match = _PATH(path)
        if match is None:
            return None
        # Market data live on the market route only; elsewhere subscriptions are acked and stay silent (venue page).
        combined = match[2] == "stream"
        session = Session("stream" if combined else "ws", session_id, now_ms, ping_ms=now_ms, last_in_ms=now_ms)
        session.silent = match[1] != "market"
        names = query.get("streams", "") if combined else (match[3] or "")
        for name in names.split("/"):
            if name:
                session.topics[name] = None
        return session

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        if session.count_in(now_ms) > MESSAGES_PER_S:
            return [Hangup(1008, "Too many requests")]
        request = parse(text)
        if not isinstance(request, dict):
            return [self.error(None, "Invalid JSON: expected value at line 1 column 1", code=3)]
        number, method = request.get("id"), request.get("method")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            return [self.error(None, "Invalid request: request ID must be an unsigned integer")]
        if method not in _METHODS:
            expected = ", ".join(f"`{name}`" for name in _METHODS)
            return [self.error(number, f"Invalid request: unknown variant `{method}`, expected one of {expected}")]
        if method == "LIST_SUBSCRIPTIONS":
            return [Frame(encode({"result": list(session.topics), "id": number}))]
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return [self.error(number, "Invalid request: this simulation has no properties")]
        names = strings(request.get("params"))
        if names is None:
            return [self.error(number, "Invalid request: params must be an array of strings")]
        if method == "SUBSCRIBE" and len({**session.topics, **dict.fromkeys(names)}) > self.max_streams:
            return [self.error(number, f"Invalid request: more than {self.max_streams} streams")]
        for name in names:  # unknown symbols are acked like any other and never send
            if method == "SUBSCRIBE":
                session.topics[name] = None
            else:
                session.topics.pop(name, None)
        return [Frame(encode({"result": None, "id": number}))]

    def error(self, number: int | None, message: str, code: int = 2) -> Frame:
        document: dict[str, Any] = {"error": {"code": code, "msg": message}}
        if number is not None:
            document["id"] = number
        return Frame(encode(document))

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        if now_ms % 1000 != 0:
            return
        for topic in wanted:
            match, array, events = _MARK(topic), _ARRAY(topic), _EVENTS(topic)
            if match is not None:
                mark = self.mark_of(match[1].upper(), now_ms)
                if mark is not None and (match[2] is not None or now_ms % 3000 == 0):
                    yield Frame(encode(mark), topic)
            elif array is not None:
                if array[1] is not None or now_ms % 3000 == 0:
                    yield Frame(encode(self.marks(now_ms)), topic)
            elif topic == FORCE_ORDERS:
                for quote in self._all:
                    yield from self._forced(quote, topic, now_ms)
            elif events is not None and events[1].upper() in self._by_name:
                quote = self._by_name[events[1].upper()]
                yield from self._trades(quote, topic) if events[2] == "aggTrade" else self._forced(quote, topic, now_ms)

    def marks(self, now_ms: int) -> list[dict[str, Any]]:
        return [self._mark(quote, now_ms) for quote in self._all]

    def mark_of(self, name: str, now_ms: int) -> dict[str, Any] | None:
        quote = self._by_name.get(name)
        return None if quote is None else self._mark(quote, now_ms)

    def _mark(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        return _mark(quote, now_ms)

    def _trades(self, quote: Quote, topic: str) -> Iterator[Frame]:
        """Each frame is one taker order's fills at one price, up to 100 ms after it (venue page)."""
        for trade in quote.trades():
            yield Frame(encode(self._aggregate(quote, trade)), topic)

    def _aggregate(self, quote: Quote, trade: Trade) -> dict[str, Any]:
        name = quote.instrument.name
        self._aggregates[name] += 1
        size = fixed(trade.contracts, quote.instrument.oi_digits)
        return {
            "e": "aggTrade",
            "E": trade.ts + 3,
            "a": self._aggregates[name],
            "s": name,
            "p": trimmed(trade.price, 8, 2),
            "q": size,
            "nq": size,
            "f": trade.number,
            "l": trade.number,
            "T": trade.ts,
            "m": trade.taker == "sell",
            "st": 1,
        }

    def _forced(self, quote: Quote, topic: str, now_ms: int) -> Iterator[Frame]:
        """At most one order per symbol and second: the largest."""
        forced = quote.liquidations()
        if forced:
            largest = max(forced, key=lambda trade: trade.contracts)
            yield Frame(encode({"e": "forceOrder", "E": now_ms, "o": order_of(quote, largest)}), topic)

    def wrap(self, session: Session, frame: Frame) -> str:
        return f'{{"stream":"{frame.topic}","data":{frame.text}}}' if session.kind == "stream" else frame.text

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        if now_ms - session.opened_ms >= LIFETIME_MS:
            return [Hangup(1001, "24 hours")]
        if now_ms - session.last_in_ms >= self.pong_within_ms:
            return [Hangup(1008, "Pong timeout")]
        if now_ms - session.ping_ms >= self.ping_every_ms:
            session.ping_ms = now_ms
            return [ServerPing()]
        return []

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        group = "data" if path.startswith("/futures/data/") else "funding" if "/v1/funding" in path else None
        within = self._used.count(self._cost(path, query), group, now_ms)
        headers = {} if group == "data" else {"X-MBX-USED-WEIGHT-1M": str(self._used.weight)}
        if not within:
            headers["Retry-After"] = str(60 - now_ms // 1000 % 60)
            return Answer(
                429,
                encode({"code": -1003, "msg": "Too many requests; current limit is 2400 weight per minute."}),
                headers,
            )
        status, document = self._document(path, query, now_ms) if method == "GET" else (405, {})
        return Answer(status, encode(document), headers)

    def _cost(self, path: str, query: Mapping[str, str]) -> int:
        if path.startswith("/futures/data/"):
            return 0
        if path.endswith("PriceKlines"):
            return bars_weight(query)
        return 10 if path == "/fapi/v1/premiumIndex" and "symbol" not in query else 1

    def _document(self, path: str, query: Mapping[str, str], now_ms: int) -> Reply:
        base = self.api
        if path == f"{base}ping":
            return 200, {}
        if path == f"{base}time":
            return 200, {"serverTime": now_ms}
        if path == f"{base}exchangeInfo":
            return 200, self._exchange_info(now_ms)
        if path == f"{base}fundingInfo":
            adjusted = [
                quote for quote in self.quotes if quote.instrument.interval_h != 8 or quote.instrument.symbol in MAJORS
            ]
            return 200, [self._funding_info(quote) for quote in adjusted]
        if path.startswith("/futures/data/"):
            return self._statistics(path.removeprefix("/futures/data/"), query, now_ms)
        what = path.removeprefix(base)
        if what == path or what not in (
            "openInterest", "premiumIndex", "markPriceKlines", "indexPriceKlines", "fundingRate",
        ):  # fmt: skip
            return 404, {"code": -5000, "msg": f"Path {path}, Method GET is invalid"}
        return self._of_symbol(what, query, now_ms)

    def _of_symbol(self, what: str, query: Mapping[str, str], now_ms: int) -> Reply:
        key = "pair" if what == "indexPriceKlines" else "symbol"
        if query.get(key) is None:
            return self._premiums(query, now_ms) if what == "premiumIndex" else missing(key)
        quote = self._by_pair(query[key]) if key == "pair" else self._by_name.get(query[key])
        if quote is None:
            return INVALID_SYMBOL
        if what == "premiumIndex":
            return self._premiums(query, now_ms)
        if what == "openInterest":
            return 200, self._open_interest(quote, now_ms)
        if what == "fundingRate":
            return _past_fundings(quote, query, now_ms)
        return _past_bars(quote, "mark" if what == "markPriceKlines" else "index", query, now_ms)

    def _by_pair(self, pair: str) -> Quote | None:
        """The perpetual of a pair."""
        return self._by_name.get(pair)

    def _premiums(self, query: Mapping[str, str], now_ms: int) -> Reply:
        if "symbol" in query:
            return 200, self._premium(self._by_name[query["symbol"]], now_ms)
        return 200, [self._premium(quote, now_ms) for quote in self.quotes]

    def _statistics(self, what: str, query: Mapping[str, str], now_ms: int) -> Reply:
        if what != "openInterestHist" and what not in RATIOS:
            return 404, {"code": -5000, "msg": f"Path {what}, Method GET is invalid"}
        if query.get("symbol") is None:
            return missing("symbol")
        quote = self._by_name.get(query["symbol"])
        if quote is None:
            return INVALID_SYMBOL
        names = {"symbol": quote.instrument.name}
        if what == "openInterestHist":
            return _past_interest(quote, names, query, now_ms)
        return _past_ratio(quote, names, RATIOS[what], query, now_ms)

    def _open_interest(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        item = quote.instrument
        time_ms, contracts = self._oi.get(item.name, (0, 0.0))
        if now_ms - time_ms >= OI_REFRESH_MS:
            time_ms, contracts = self._oi[item.name] = (self.model.now_ms, quote.contracts)
        return {"openInterest": fixed(contracts, item.oi_digits), "symbol": item.name, "time": time_ms}

    def _premium(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        return {
            "symbol": quote.instrument.name,
            "markPrice": fixed(quote.mark, 8),
            "indexPrice": fixed(quote.index, 8),
            "estimatedSettlePrice": fixed(quote.index * 1.0001, 8),
            "lastFundingRate": fixed(quote.rate, 8),
            "interestRate": "0.00010000",
            "nextFundingTime": quote.next_ts,
            "time": now_ms,
        }

    def _funding_info(self, quote: Quote) -> dict[str, Any]:
        item = quote.instrument
        return {
            "symbol": item.name,
            "adjustedFundingRateCap": fixed(item.cap, 8),
            "adjustedFundingRateFloor": fixed(-item.cap, 8),
            "fundingIntervalHours": item.interval_h,
            "disclaimer": False,
            "updateTime": 1758377721362,
        }

    def _exchange_info(self, now_ms: int) -> dict[str, Any]:
        rows = [self._row(quote, "PERPETUAL", quote.instrument.name, "TRADING") for quote in self.quotes]
        if self.quotes:  # what a client must leave out: a dated future and a dead perpetual
            first = self.quotes[0]
            rows.append(self._row(first, "CURRENT_QUARTER", f"{first.instrument.base}USDT_270326", "TRADING"))
            rows.append({**self._row(first, "PERPETUAL", "SIMOLDUSDT", "SETTLING"), "baseAsset": "SIMOLD"})
        limits = [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_PER_MINUTE}
        ]
        return {
            "timezone": "UTC",
            "serverTime": now_ms,
            "futuresType": "U_MARGINED",
            "rateLimits": limits,
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": rows,
        }

    def _row(self, quote: Quote, contract_type: str, name: str, status: str) -> dict[str, Any]:
        item = quote.instrument
        tick = trimmed(10.0 ** -(max(0, item.price_digits - 4)), 8)
        step = trimmed(10.0**-item.oi_digits, 8)
        return {
            "symbol": name,
            "pair": f"{item.base}{item.quote}",
            "contractType": contract_type,
            "deliveryDate": 4133404800000 if contract_type == "PERPETUAL" else 1806048000000,
            "onboardDate": 1569398400000,
            "status": status,
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": item.base,
            "quoteAsset": item.quote,
            "marginAsset": item.quote,
            "pricePrecision": 8,
            "quantityPrecision": item.oi_digits,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": ["PoW"],
            "triggerProtect": "0.0500",
            "liquidationFee": "0.012500",
            "marketTakeBound": "0.05",
            "maxMoveOrderLimit": 10000,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "4529764", "tickSize": tick},
                {"filterType": "LOT_SIZE", "stepSize": step, "maxQty": "1000", "minQty": step},
                {"filterType": "MIN_NOTIONAL", "notional": "100"},
            ],
            "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        }  # fmt: skip


def order_of(quote: Quote, trade: Trade) -> dict[str, Any]:
    """The order that closed the position: its side is the opposite of the position's."""
    name, size = quote.instrument.name, fixed(trade.contracts, quote.instrument.oi_digits)
    ordered = trade.price * (0.98 if trade.taker == "sell" else 1.02)
    return {
        "s": name,
        **({"ps": name.removesuffix(PERPETUAL)} if quote.instrument.inverse else {}),
        "S": trade.taker.upper(),
        "o": "LIMIT",
        "f": "IOC",
        "q": size,
        "p": trimmed(ordered, 8),
        "ap": trimmed(trade.price, 8),
        "X": "FILLED",
        "l": size,
        "z": size,
        "T": trade.ts,
    }


def _mark(quote: Quote, now_ms: int) -> dict[str, Any]:
    """COIN-M: without an index, which has a stream of its own, and without the moving average."""
    price, inverse = fixed(quote.mark, 8), quote.instrument.inverse
    return {
        "e": "markPriceUpdate",
        "E": now_ms,
        "s": quote.instrument.name,
        "p": price,
        **({} if inverse else {"ap": price}),
        "P": fixed(quote.index * 1.0001, 8),
        **({} if inverse else {"i": fixed(quote.index, 8)}),
        "r": fixed(quote.rate, 8),
        "T": quote.next_ts,
        "st": 2 if inverse else 1,
    }


def streams_session(path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
    """A session where there are no routes."""
    match = _UNROUTED_PATH(path)
    if match is None:
        return None
    combined = match[1] == "stream"
    session = Session("stream" if combined else "ws", session_id, now_ms, ping_ms=now_ms, last_in_ms=now_ms)
    names = query.get("streams", "") if combined else (match[2] or "")
    session.topics.update(dict.fromkeys(name for name in names.split("/") if name))
    return session


def missing(key: str) -> Reply:
    """A parameter that the venue must have."""
    return 400, {"code": -1102, "msg": f"Mandatory parameter '{key}' was not sent, was empty/null, or malformed."}


# -- COIN-M: what differs ----------------------------------------------------------------------------------------------


class BinanceCoinm(BinanceUsdm):
    venue = "binance_coinm"
    api = "/dapi/v1/"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._pairs = {quote.instrument.name.removesuffix(PERPETUAL): quote for quote in self.quotes}

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"market": f"ws://{authority}"}, f"http://{authority}"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        return streams_session(path, query, session_id, now_ms)

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        if now_ms % 1000 != 0:
            return
        for topic in wanted:
            array, match = _COINM_ARRAY(topic), _COINM_STREAM(topic)
            if array is not None:
                if array[1] == "forceOrder":
                    for quote in self._all:
                        yield from self._forced(quote, topic, now_ms)
                elif array[2] is not None or now_ms % 3000 == 0:
                    yield Frame(encode([_mark(quote, now_ms) for quote in self._all]), topic)
            elif match is not None:
                yield from self._stream(topic, match, now_ms)

    def _stream(self, topic: str, match: re.Match[str], now_ms: int) -> Iterator[Frame]:
        pair, perpetual, what = match[1].upper(), match[2] != "", match[3]
        quote = self._pairs.get(pair)
        if quote is None or perpetual is (what == "indexPrice"):
            return  # acknowledged and silent, as any stream that does not exist
        if what == "aggTrade":
            yield from self._trades(quote, topic)
        elif what == "forceOrder":
            yield from self._forced(quote, topic, now_ms)
        elif match[4] is not None or now_ms % 3000 == 0:
            yield Frame(encode(_mark(quote, now_ms) if perpetual else self._index(pair, quote, now_ms)), topic)

    @staticmethod
    def _index(pair: str, quote: Quote, now_ms: int) -> dict[str, Any]:
        return {"e": "indexPriceUpdate", "E": now_ms, "i": pair, "p": fixed(quote.index, 8)}

    def _aggregate(self, quote: Quote, trade: Trade) -> dict[str, Any]:
        """The size is in contracts; there is no figure without retail orders."""
        row = super()._aggregate(quote, trade)
        return {key: value for key, value in row.items() if key != "nq"} | {"st": 2}

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def _cost(self, path: str, query: Mapping[str, str]) -> int:
        if path.startswith("/futures/data/"):
            return 1
        return 10 if path == "/dapi/v1/premiumIndex" else super()._cost(path, query)

    def _by_pair(self, pair: str) -> Quote | None:
        return self._pairs.get(pair)

    def _open_interest(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        row = super()._open_interest(quote, now_ms)
        pair = quote.instrument.name.removesuffix(PERPETUAL)
        return {**row, "pair": pair, "contractType": "PERPETUAL"}

    def _premiums(self, query: Mapping[str, str], now_ms: int) -> Reply:
        """Always an array; with the delivery contracts where it is asked by pair."""
        pair, name = query.get("pair"), query.get("symbol")
        if pair is not None and pair not in self._pairs:
            return INVALID_SYMBOL
        rows = []
        for key, quote in self._pairs.items():
            if name in (None, quote.instrument.name) and pair in (None, key):
                rows.append(self._premium(quote, now_ms))
                if name is None:
                    dated = {"symbol": f"{key}_270326", "lastFundingRate": "", "interestRate": "", "nextFundingTime": 0}
                    rows.append({**rows[-1], **dated})
        return 200, rows

    def _premium(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        return {**super()._premium(quote, now_ms), "pair": quote.instrument.name.removesuffix(PERPETUAL)}

    def _statistics(self, what: str, query: Mapping[str, str], now_ms: int) -> Reply:
        if what != "openInterestHist" and what not in RATIOS:
            return 404, {"code": -5000, "msg": f"Path {what}, Method GET is invalid"}
        pair = query.get("pair")
        if pair is None:
            return missing("pair")
        if pair not in self._pairs:
            return INVALID_SYMBOL
        quote, kind = self._pairs[pair], query.get("contractType")
        if what in RATIOS:
            return _past_ratio(quote, {"pair": pair}, RATIOS[what], query, now_ms)
        if kind is None:
            return missing("contractType")
        if kind not in ("PERPETUAL", "ALL"):
            return 200, []
        return _past_interest(quote, {"pair": pair, "contractType": kind}, query, now_ms)

    def _exchange_info(self, now_ms: int) -> dict[str, Any]:
        info = super()._exchange_info(now_ms)
        return {key: info[key] for key in ("timezone", "serverTime", "rateLimits", "exchangeFilters", "symbols")}

    def _row(self, quote: Quote, contract_type: str, name: str, status: str) -> dict[str, Any]:
        item = quote.instrument
        pair = item.name.removesuffix(PERPETUAL)
        if contract_type != "PERPETUAL":
            name = f"{pair}_270326"
        row = super()._row(quote, contract_type, name, status)
        del row["status"]
        return {
            **row,
            "pair": pair,
            "contractStatus": status,
            "contractSize": round(item.native_size),
            "marginAsset": item.base,
            "equalQtyPrecision": 4,
            "quantityPrecision": 0,
            "pricePrecision": item.price_digits,
            "triggerProtect": trimmed(0.05, 4, 4),
        }


# -- statistics and history of both ------------------------------------------------------------------------------------


def bars_weight(query: Mapping[str, str]) -> int:
    """The documented weight of a page of candles."""
    limit = whole(query, "limit", 500) or 0
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def _past_bars(quote: Quote, price: Price, query: Mapping[str, str], now_ms: int) -> Reply:
    """Candles, oldest first: from ``startTime`` on where it is given, else the newest."""
    minutes = INTERVALS.get(query.get("interval", ""))
    if minutes is None:
        return 400, {"code": -1120, "msg": "Invalid interval."}
    span = _span(query, now_ms, 500, 1500)
    if span is None:
        return _ILLEGAL
    length_ms, digits = minutes * MINUTE_MS, 8
    rows: list[list[Any]] = [
        [
            bar.open_ms, fixed(bar.open, digits), fixed(bar.high, digits), fixed(bar.low, digits),
            fixed(bar.close, digits), "0", bar.open_ms + length_ms - 1, "0", 60 * minutes, "0", "0", "0",
        ]
        for bar in quote.bars(price, span[0], span[1], minutes)
    ]  # fmt: skip
    return 200, _page(rows, query, span[2])


def _past_interest(quote: Quote, names: Mapping[str, str], query: Mapping[str, str], now_ms: int) -> Reply:
    """Past open interest: contracts (USD-M: coins) and their value in USDT, on COIN-M in coins."""
    period_ms = PERIODS.get(query.get("period", ""))
    span = _span(query, now_ms, 30, 500)
    if period_ms is None or span is None:
        return _ILLEGAL
    inverse = quote.instrument.inverse
    rows = []
    for point in quote.past.points(span[0] + period_ms, span[1] + period_ms, period_ms):
        size = quote.instrument.native_size
        value = point.contracts * size / point.mark if inverse else point.contracts * point.mark
        rows.append(
            {
                **names,
                "sumOpenInterest": fixed(point.contracts, 8),
                "sumOpenInterestValue": fixed(value, 8),
                "timestamp": point.ts - period_ms,
            }
        )
    return 200, _page(rows, query, span[2])


def _past_fundings(quote: Quote, query: Mapping[str, str], now_ms: int) -> Reply:
    """Settled rates, oldest first, stamped some ms after the hour."""
    span = _span(query, now_ms, 100, 1000)
    if span is None:
        return _ILLEGAL
    rows = []
    for ts, rate in quote.settlements:
        stamp = ts + ts // HOUR_MS * 7 % _LATE_MS
        if span[0] <= stamp <= span[1]:
            [mark] = [fixed(point.mark, 8) for point in quote.past.points(ts, ts)] or [""]
            rows.append(
                {
                    "symbol": quote.instrument.name,
                    "fundingTime": stamp,
                    "fundingRate": fixed(rate, 8),
                    "markPrice": mark,
                }
            )
    return 200, _page(rows, query, span[2])


def _past_ratio(
    quote: Quote, names: Mapping[str, str], kind: LongShortKind, query: Mapping[str, str], now_ms: int
) -> Reply:
    """The newest share of longs. COIN-M names position shares by their own name (venue page)."""
    if query.get("period") not in PERIODS or _span(query, now_ms, 30, 500) is None:
        return _ILLEGAL
    what = "Position" if kind == "top_position" and quote.instrument.inverse else "Account"
    share = quote.long_share(kind)
    row = {
        **names,
        f"long{what}": fixed(share, 4),
        f"short{what}": fixed(1 - share, 4),
        "longShortRatio": fixed(share / (1 - share), 4),
        "timestamp": now_ms // STATISTICS_MS * STATISTICS_MS,
    }
    return 200, [row]


def _span(query: Mapping[str, str], now_ms: int, default: int, most: int) -> tuple[int, int, int] | None:
    """(first, last, limit), or None for a query that the venue refuses."""
    first, last = whole(query, "startTime", 0), whole(query, "endTime", now_ms)
    limit = whole(query, "limit", default)
    if first is None or last is None or limit is None or limit <= 0 or first > last:
        return None
    return first, min(last, now_ms), min(limit, most)


def _page(rows: list[Any], query: Mapping[str, str], limit: int) -> list[Any]:
    return rows[:limit] if "startTime" in query else rows[-limit:]
