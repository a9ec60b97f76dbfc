"""Bitget as its page describes it: the v2 socket of tickers and trades, the v3 socket of liquidations, text pings.

Quantities are base coins on every product line, with the float noise that the venue sends. The v3 socket knows its
liquidation topic only. Over HTTP every answer is wrapped in a code, which is a text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.model import LongShortKind
from service.simulation.instruments import Instrument
from service.simulation.market import MarketModel, Quote
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
    trimmed,
    whole,
)  # fmt: skip
from service.simulation.quotes import Trade

PRODUCTS = ("USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES")
PREFIX = "/api/v2/mix/market/"
PING_WITHIN_MS = 120_000
LIFETIME_MS = 86_400_000
MESSAGES_PER_S = 10
SUBSCRIBES_PER_HOUR = 240
MAX_CHANNELS = 1000
LIQUIDATIONS_EVERY_MS = 20_000
_CHANNELS = ("ticker", "trade")
REQUESTS_PER_S = 20  # of one endpoint
RATIOS_PER_S = 2  # "about one"
RATIO_MS = 300_000
CANDLES = {"candles": 1000, "history-mark-candles": 200, "history-index-candles": 200}
GRANULARITIES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1H": 60}
RATIOS: dict[str, tuple[LongShortKind, str]] = {
    "account-long-short": ("account", "Account"),
    "position-long-short": ("position", "Position"),
}


# -- rows --------------------------------------------------------------------------------------------------------------


def product_of(item: Instrument) -> str:
    """The product line that an instrument belongs to."""
    return "COIN-FUTURES" if item.inverse else f"{item.quote}-FUTURES"


def _contract(quote: Quote) -> dict[str, Any]:
    item = quote.instrument
    step = trimmed(10.0**-item.oi_digits, item.oi_digits)
    return {
        "symbol": item.name,
        "baseCoin": item.base,
        "quoteCoin": item.quote,
        "buyLimitPriceRatio": "0.05",
        "sellLimitPriceRatio": "0.05",
        "feeRateUpRatio": "0.005",
        "makerFeeRate": "0.0002",
        "takerFeeRate": "0.0006",
        "openCostUpRatio": "0.01",
        "supportMarginCoins": [item.base if item.inverse else item.quote],
        "minTradeNum": step,
        "priceEndStep": "1",
        "volumePlace": str(item.oi_digits),
        "pricePlace": str(item.price_digits),
        "sizeMultiplier": step,
        "symbolType": "perpetual",
        "minTradeUSDT": "5",
        "maxSymbolOrderNum": "200",
        "maxProductOrderNum": "1000",
        "maxPositionNum": "200",
        "symbolStatus": "normal",
        "offTime": "-1",
        "limitOpenTime": "-1",
        "deliveryTime": "",
        "deliveryStartTime": "",
        "deliveryPeriod": "",
        "launchTime": "",
        "fundInterval": str(item.interval_h),
        "minLever": "1",
        "maxLever": "150",
        "posLimit": "0.2",
        "maintainTime": "",
        "openTime": "",
        "maxMarketOrderQty": "220",
        "maxOrderQty": "1200",
        "isRwa": "NO",
    }


def _trade(quote: Quote, trade: Trade) -> dict[str, Any]:
    item = quote.instrument
    return {
        "ts": str(trade.ts),
        "price": trimmed(trade.price, item.price_digits),
        "size": trimmed(trade.contracts, item.oi_digits),
        "side": trade.taker,
        "tradeId": str(1_235_671_063_871_070_208 + trade.number),
    }


def _liquidation(quote: Quote, trade: Trade) -> dict[str, str]:
    """The side is the position's (buy: a long was closed), the amount is in quote coins."""
    return {
        "symbol": quote.instrument.name,
        "side": "buy" if trade.liquidated == "long" else "sell",
        "price": trimmed(trade.price, 12),
        "amount": trimmed(trade.contracts * trade.price, 12),
        "ts": str(trade.ts),
    }


def _noisy(quote: Quote) -> str:
    """Open interest with the noise of binary floats in its last digits, as the venue sends it."""
    return fixed(quote.contracts, 13)


# -- the server --------------------------------------------------------------------------------------------------------


class Bitget(Protocol):
    venue = "bitget"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._by_name = by_name(self.quotes)
        self._lines = {
            line: [quote for quote in self.quotes if product_of(quote.instrument) == line] for line in PRODUCTS
        }
        self._waiting: dict[str, list[dict[str, str]]] = {}  # liquidations not yet pushed, by topic
        self._second = 0
        self._asked: dict[str, int] = {}  # HTTP requests in it, by endpoint

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"public": f"ws://{authority}/v2/ws/public"}, f"http://{authority}"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        for version in ("v2", "v3"):
            if path == f"/{version}/ws/public":
                return Session(version, session_id, now_ms, last_in_ms=now_ms)
        return None

    def received(self, session: Session, text: str, now_ms: int) -> list[Out]:
        if session.count_in(now_ms) > MESSAGES_PER_S:
            return [
                _error(None, 30007, "request over limit, connection close", "op"),
                Hangup(1008, "Too many requests"),
            ]
        if text == "ping":
            session.ping_ms = now_ms
            return [Frame("pong")]
        request = parse(text)
        operation = request.get("op") if isinstance(request, dict) else None
        arguments = request.get("args") if isinstance(request, dict) else None
        if operation not in ("subscribe", "unsubscribe") or not isinstance(arguments, list) or not arguments:
            return [_error(None, 30003, "Illegal op", str(operation))]
        session.operations = [at for at in session.operations if at > now_ms - 3_600_000] + [now_ms]
        if len(session.operations) > SUBSCRIBES_PER_HOUR:
            return [_error(None, 30006, "Too many requests", operation)]
        replies: list[Out] = []
        for argument in arguments:
            replies += self._operate(session, operation, argument, now_ms)
        return replies

    def _operate(self, session: Session, operation: str, argument: Any, now_ms: int) -> list[Out]:
        """One ack for every argument; a bad one does not touch the others."""
        if not isinstance(argument, dict):
            return [_error(argument, 30016, "Param error", operation)]
        topic = self._topic(session.kind, argument)
        if topic is None:
            shown = ",".join(f"{key}:{value}" for key, value in argument.items())
            return [_error(argument, 30001, f"{shown} doesn't exist", operation)]
        if operation == "subscribe" and len({**session.topics, topic: None}) > MAX_CHANNELS:
            return [_error(argument, 30006, "Too many channels", operation)]
        ack: dict[str, Any] = {"event": operation, "arg": argument}
        if session.kind == "v3":
            ack["connId"] = session.connection_id
        replies: list[Out] = [Frame(encode(ack))]
        if operation == "unsubscribe":
            session.topics.pop(topic, None)
            return replies
        session.topics[topic] = None
        channel, _, name = topic.partition(":")
        if channel == "ticker":
            replies.append(Frame(self._ticker(self._by_name[name], now_ms), topic))
        elif channel == "trade":  # what was traded before comes first, the newest at the top
            quote = self._by_name[name]
            quote.trades()
            rows = [_trade(quote, trade) for trade in reversed(quote.recent)]
            replies.append(Frame(self._message("snapshot", channel, quote, rows, now_ms), topic))
        return replies

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        """Once a second, when the market has moved; the venue sends a ticker up to three times as often."""
        if now_ms % 1000 != 0:
            return
        for topic in wanted:
            channel, _, name = topic.partition(":")
            if channel == "ticker":
                yield Frame(self._ticker(self._by_name[name], now_ms), topic)
            elif channel == "trade":
                quote = self._by_name[name]
                if quote.trades():
                    rows = [_trade(quote, trade) for trade in reversed(quote.trades())]
                    yield Frame(self._message("update", channel, quote, rows, now_ms), topic)
            else:
                waiting = self._waiting.setdefault(topic, [])
                for quote in self._lines[name.upper()]:
                    waiting += [_liquidation(quote, trade) for trade in quote.liquidations()]
                if waiting and now_ms % LIQUIDATIONS_EVERY_MS == 0:
                    self.rng.shuffle(waiting)  # not in time order
                    argument = {"instType": name, "topic": channel}
                    frame = {"action": "update", "arg": argument, "data": list(waiting), "ts": now_ms}
                    waiting.clear()
                    yield Frame(encode(frame), topic)

    def watch(self, session: Session, now_ms: int) -> list[Out]:
        if now_ms - session.opened_ms >= LIFETIME_MS:
            return [Hangup(1000, "24 hours")]
        if now_ms - max(session.opened_ms, session.ping_ms) >= PING_WITHIN_MS:
            return [Hangup(1000, "No ping in 2 minutes")]
        return []

    def _topic(self, version: str, argument: dict[str, Any]) -> str | None:
        line = argument.get("instType")
        if version == "v3":  # one channel for a whole product line, in lower case
            known = isinstance(line, str) and line.upper() in PRODUCTS and line == line.lower()
            return f"liquidation:{line}" if known and argument.get("topic") == "liquidation" else None
        channel, quote = argument.get("channel"), self._by_name.get(str(argument.get("instId")))
        if channel not in _CHANNELS or quote is None or line != product_of(quote.instrument):
            return None
        return f"{channel}:{quote.instrument.name}"

    @staticmethod
    def _message(action: str, channel: str, quote: Quote, rows: list[dict[str, Any]], now_ms: int) -> str:
        item = quote.instrument
        argument = {"instType": product_of(item), "channel": channel, "instId": item.name}
        return encode({"action": action, "arg": argument, "data": rows, "ts": now_ms})

    def _ticker(self, quote: Quote, now_ms: int) -> str:
        item = quote.instrument
        before, high, low = (value * item.multiplier for value in self.model.state(item.symbol).day())
        digits = item.price_digits
        last, volume = trimmed(quote.mark, digits), day_volume(quote) / item.multiplier
        row = {
            "instId": item.name,
            "lastPr": last,
            "bidPr": last,
            "askPr": trimmed(quote.mark + 10.0**-digits, digits),
            "bidSz": fixed(quote.contracts / 20_000, item.oi_digits),
            "askSz": fixed(quote.contracts / 15_000, item.oi_digits),
            "open24h": trimmed(before, digits),
            "high24h": trimmed(max(high, quote.mark), digits),
            "low24h": trimmed(min(low, quote.mark), digits),
            "change24h": fixed(quote.mark / before - 1, 5),
            "fundingRate": trimmed(quote.rate, 8),
            "nextFundingTime": str(quote.next_ts),
            "markPrice": last,
            "indexPrice": trimmed(quote.index, digits),
            "holdingAmount": fixed(quote.contracts, 13),
            "baseVolume": trimmed(volume, item.oi_digits),
            "quoteVolume": trimmed(volume * quote.mark, 5),
            "openUtc": trimmed(before, digits),
            "symbolType": "1",
            "symbol": item.name,
            "ts": str(now_ms),
        }
        return self._message("snapshot", "ticker", quote, [row], now_ms)

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], body: str, now_ms: int) -> Answer:
        what = path.removeprefix(PREFIX)
        if method != "GET" or what == path:
            return Answer(404, encode({"code": "40404", "msg": "Request URL NOT FOUND", "requestTime": now_ms}))
        if self._second != now_ms // 1000:
            self._second, self._asked = now_ms // 1000, {}
        self._asked[what] = self._asked.get(what, 0) + 1
        if self._asked[what] > (RATIOS_PER_S if what in RATIOS else REQUESTS_PER_S):
            return Answer(429, encode({"code": "429", "msg": "Too Many Requests", "requestTime": now_ms, "data": None}))
        if what in RATIOS:
            return self._ratio(what, query, now_ms)
        line = query.get("productType", "").upper()
        if line not in PRODUCTS:
            return _refused("40020", "Parameter productType error", now_ms)
        quotes = [quote for quote in self.quotes if product_of(quote.instrument) == line]
        name = query.get("symbol")
        if name is not None:
            quotes = [quote for quote in quotes if quote.instrument.name == name]
            if not quotes:
                return _refused("40034", f"Parameter {name} does not exist", now_ms)
        if what == "contracts":
            return _ok(self._contracts(quotes, line, name is None), now_ms)
        if what == "tickers":
            return _ok([self._ticker_row(quote, now_ms) for quote in quotes], now_ms)
        if name is None:
            return _refused("40019", "Parameter symbol cannot be empty", now_ms)
        return self._of_one(what, quotes[0], query, now_ms)

    def _of_one(self, what: str, quote: Quote, query: Mapping[str, str], now_ms: int) -> Answer:
        name = quote.instrument.name
        if what == "open-interest":
            return _ok({"openInterestList": [{"symbol": name, "size": _noisy(quote)}], "ts": str(now_ms)}, now_ms)
        if what == "funding-time":
            hours = str(quote.instrument.interval_h)
            return _ok([{"symbol": name, "nextFundingTime": str(quote.next_ts), "ratePeriod": hours}], now_ms)
        if what == "current-fund-rate":
            return _ok([self._rate(quote)], now_ms)
        if what == "history-fund-rate":
            return self._rates(quote, query, now_ms)
        if what in CANDLES:
            return self._candles(what, quote, query, now_ms)
        return Answer(404, encode({"code": "40404", "msg": "Request URL NOT FOUND", "requestTime": now_ms}))

    @staticmethod
    def _candles(what: str, quote: Quote, query: Mapping[str, str], now_ms: int) -> Answer:
        """Oldest first, the newest of the span if there are too many; ``endTime`` is exclusive."""
        minutes = GRANULARITIES.get(query.get("granularity", ""))
        first, last = whole(query, "startTime", 0), whole(query, "endTime", now_ms + 1)
        limit = whole(query, "limit", 100)
        if minutes is None or first is None or last is None or limit is None or not 0 < limit <= CANDLES[what]:
            return _refused("40017", "Parameter verification failed", now_ms)
        kind = query.get("kLineType", "MARKET") if what == "candles" else what.split("-")[1].upper()
        price: Price = "index" if kind == "INDEX" else "mark"
        digits = quote.instrument.price_digits
        rows = [
            [
                str(bar.open_ms), *(trimmed(value, digits) for value in (bar.open, bar.high, bar.low, bar.close)),
                "0", "0",
            ]
            for bar in quote.bars(price, first, last - 1, minutes)
        ]  # fmt: skip
        return _ok(rows[-limit:], now_ms)

    @staticmethod
    def _rates(quote: Quote, query: Mapping[str, str], now_ms: int) -> Answer:
        """Newest first, in pages."""
        size, page = whole(query, "pageSize", 20), whole(query, "pageNo", 1)
        if size is None or page is None or not 0 < size <= 100 or page < 1:
            return _refused("40017", "Parameter verification failed", now_ms)
        rows = [
            {"symbol": quote.instrument.name, "fundingRate": trimmed(rate, 8), "fundingTime": str(ts)}
            for ts, rate in reversed(quote.settlements)
        ]
        return _ok(rows[(page - 1) * size : page * size], now_ms)

    def _ratio(self, what: str, query: Mapping[str, str], now_ms: int) -> Answer:
        """Of the USDT line only; the rows do not name the instrument."""
        kind, label = RATIOS[what]
        quote = self._by_name.get(query.get("symbol", ""))
        if quote is None or product_of(quote.instrument) != PRODUCTS[0]:
            return _refused("40034", f"Parameter {query.get('symbol')} does not exist", now_ms)
        long = quote.long_share(kind)
        row = {
            f"long{label}Ratio": fixed(long, 4),
            f"short{label}Ratio": fixed(1 - long, 4),
            f"longShort{label}Ratio": fixed(long / (1 - long), 4),
            "ts": str(now_ms // RATIO_MS * RATIO_MS),
        }
        return _ok([row], now_ms)

    @staticmethod
    def _rate(quote: Quote) -> dict[str, str]:
        item = quote.instrument
        return {
            "symbol": item.name,
            "fundingRate": trimmed(quote.rate, 8),
            "fundingRateInterval": str(item.interval_h),
            "nextUpdate": str(quote.next_ts),
            "minFundingRate": trimmed(-item.cap, 8),
            "maxFundingRate": trimmed(item.cap, 8),
        }

    def _ticker_row(self, quote: Quote, now_ms: int) -> dict[str, str]:
        item, digits = quote.instrument, quote.instrument.price_digits
        before, high, low = (value * item.multiplier for value in self.model.state(item.symbol).day())
        volume = day_volume(quote) / item.multiplier
        return {
            "symbol": item.name,
            "lastPr": trimmed(quote.mark, digits),
            "askPr": trimmed(quote.mark + 10.0**-digits, digits),
            "bidPr": trimmed(quote.mark, digits),
            "high24h": trimmed(max(high, quote.mark), digits),
            "low24h": trimmed(min(low, quote.mark), digits),
            "ts": str(now_ms),
            "change24h": fixed(quote.mark / before - 1, 5),
            "baseVolume": trimmed(volume, item.oi_digits),
            "quoteVolume": trimmed(volume * quote.mark, 5),
            "indexPrice": trimmed(quote.index, digits),
            "fundingRate": trimmed(quote.rate, 8),
            "holdingAmount": _noisy(quote),
            "markPrice": trimmed(quote.mark, digits),
        }

    @staticmethod
    def _contracts(quotes: Sequence[Quote], line: str, everything: bool) -> list[dict[str, Any]]:
        rows = [_contract(quote) for quote in quotes]
        if everything and rows:  # what a client must leave out: a delivery contract, a stock, one not traded any more
            rows.append({**rows[0], "symbol": f"{rows[0]['baseCoin']}USDZ26", "symbolType": "delivery"})
            if line == PRODUCTS[0]:
                rows.append({**rows[0], "symbol": "SIMSTOCKUSDT", "baseCoin": "SIMSTOCK", "isRwa": "YES"})
                rows.append({**rows[0], "symbol": "SIMOLDUSDT", "baseCoin": "SIMOLD", "symbolStatus": "off"})
        return rows


def _error(argument: Any, code: int, message: str, operation: str) -> Frame:
    document: dict[str, Any] = {"event": "error", "code": code, "msg": message, "op": operation}
    if argument is not None:
        document = {"event": "error", "arg": argument, **document}
    return Frame(encode(document))


def _ok(data: Any, now_ms: int) -> Answer:
    return Answer(200, encode({"code": "00000", "msg": "success", "requestTime": now_ms, "data": data}))


def _refused(code: str, message: str, now_ms: int) -> Answer:
    return Answer(400, encode({"code": code, "msg": message, "requestTime": now_ms, "data": None}))
