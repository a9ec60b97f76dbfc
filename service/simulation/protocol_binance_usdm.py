"""Binance USD-M futures as its page describes it: routed streams, silent wrong routes, OI over HTTP, server pings."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.simulation.instruments import MAJORS
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
    encode,
    fixed,
    parse,
    strings,
    trimmed,
)  # fmt: skip

PING_EVERY_MS = 180_000  # the server pings each 3 minutes and waits 10 for a pong
PONG_WITHIN_MS = 600_000
MESSAGES_PER_S = 10
MAX_STREAMS = 1024
WEIGHT_PER_MINUTE = 2400
OI_REFRESH_MS = 5_000  # an OI figure is some seconds old, with its own time
LIFETIME_MS = 24 * HOUR_MS

_PATH = re.compile(r"(?:/(public|market|private))?/(ws|stream)(?:/(.+))?").fullmatch
_MARK = re.compile(r"([a-z0-9]+)@markPrice(@1s)?").fullmatch
_ARRAY = re.compile(r"!markPrice@arr(@1s)?").fullmatch
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class BinanceUsdm(Protocol):
    venue = "binance_usdm"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)
        self._oi: dict[str, tuple[int, float]] = {}
        self._minute = 0
        self._weight = 0

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
            return [_error(None, "Invalid JSON: expected value at line 1 column 1", code=3)]
        number, method = request.get("id"), request.get("method")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            return [_error(None, "Invalid request: request ID must be an unsigned integer")]
        if method not in _METHODS:
            expected = ", ".join(f"`{name}`" for name in _METHODS)
            return [_error(number, f"Invalid request: unknown variant `{method}`, expected one of {expected}")]
        if method == "LIST_SUBSCRIPTIONS":
            return [Frame(encode({"result": list(session.topics), "id": number}))]
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return [_error(number, "Invalid request: this simulation has no properties")]
        names = strings(request.get("params"))
        if names is None:
            return [_error(number, "Invalid request: params must be an array of strings")]
        if method == "SUBSCRIBE" and len({**session.topics, **dict.fromkeys(names)}) > MAX_STREAMS:
            return [_error(number, f"Invalid request: more than {MAX_STREAMS} streams")]
        for name in names:  # unknown symbols are acked like any other and never send
            if method == "SUBSCRIBE":
                session.topics[name] = None
            else:
                session.topics.pop(name, None)
        return [Frame(encode({"result": None, "id": number}))]

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        if now_ms % 1000 != 0:
            return
        for topic in wanted:
            match, array = _MARK(topic), _ARRAY(topic)
            if match is not None:
                quote = self._by_name.get(match[1].upper())
                if quote is not None and (match[2] is not None or now_ms % 3000 == 0):
                    yield Frame(encode(self._mark(quote, now_ms)), topic)
            elif array is not None and (array[1] is not None or now_ms % 3000 == 0):
                yield Frame(encode([self._mark(quote, now_ms) for quote in self.quotes]), topic)

    def wrap(self, session: Session, frame: Frame) -> str:
        return f'{{"stream":"{frame.topic}","data":{frame.text}}}' if session.kind == "stream" else frame.text

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        if now_ms - session.opened_ms >= LIFETIME_MS:
            return [Hangup(1001, "24 hours")]
        if now_ms - session.last_in_ms >= PONG_WITHIN_MS:
            return [Hangup(1008, "Pong timeout")]
        if now_ms - session.ping_ms >= PING_EVERY_MS:
            session.ping_ms = now_ms
            return [ServerPing()]
        return []

    def _mark(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        price = fixed(quote.mark, 8)
        return {
            "e": "markPriceUpdate",
            "E": now_ms,
            "s": quote.instrument.name,
            "p": price,
            "ap": price,
            "P": fixed(quote.index * 1.0001, 8),
            "i": fixed(quote.index, 8),
            "r": fixed(quote.rate, 8),
            "T": quote.next_ts,
            "st": 1,
        }

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        if now_ms // 60_000 != self._minute:
            self._minute, self._weight = now_ms // 60_000, 0
        symbol = query.get("symbol")
        weight = 10 if path == "/fapi/v1/premiumIndex" and symbol is None else 1
        self._weight += weight
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._weight)}
        if self._weight > WEIGHT_PER_MINUTE:
            headers["Retry-After"] = str(60 - now_ms // 1000 % 60)
            return Answer(
                429,
                encode({"code": -1003, "msg": "Too many requests; current limit is 2400 weight per minute."}),
                headers,
            )
        status, document = self._document(path, symbol, now_ms) if method == "GET" else (405, {})
        return Answer(status, encode(document), headers)

    def _document(self, path: str, symbol: str | None, now_ms: int) -> tuple[int, Any]:
        if path == "/fapi/v1/ping":
            return 200, {}
        if path == "/fapi/v1/time":
            return 200, {"serverTime": now_ms}
        if path == "/fapi/v1/exchangeInfo":
            return 200, self._exchange_info(now_ms)
        if path == "/fapi/v1/fundingInfo":
            adjusted = [
                quote for quote in self.quotes if quote.instrument.interval_h != 8 or quote.instrument.symbol in MAJORS
            ]
            return 200, [self._funding_info(quote) for quote in adjusted]
        if path not in ("/fapi/v1/openInterest", "/fapi/v1/premiumIndex"):
            return 404, {"code": -5000, "msg": f"Path {path}, Method GET is invalid"}
        if symbol is None:
            if path == "/fapi/v1/premiumIndex":
                return 200, [self._premium(quote, now_ms) for quote in self.quotes]
            return 400, {
                "code": -1102,
                "msg": "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
            }
        quote = self._by_name.get(symbol)
        if quote is None:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        if path == "/fapi/v1/premiumIndex":
            return 200, self._premium(quote, now_ms)
        return 200, self._open_interest(quote, now_ms)

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


def _error(number: int | None, message: str, code: int = 2) -> Frame:
    document: dict[str, Any] = {"error": {"code": code, "msg": message}}
    if number is not None:
        document["id"] = number
    return Frame(encode(document))
