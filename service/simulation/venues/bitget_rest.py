"""Bitget's v2 HTTP answers: contracts, tickers, funding, candles of mark and index, ratios, with their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.model import LongShortKind
from service.simulation.instruments import Instrument
from service.simulation.market import MarketModel, Quote
from service.simulation.minutes import Price
from service.simulation.protocol import Answer, by_name, day_volume, encode, fixed, trimmed, whole

PRODUCTS = ("USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES")
PREFIX = "/api/v2/mix/market/"
REQUESTS_PER_S = 20  # of one endpoint
RATIOS_PER_S = 2  # "about one"
RATIO_MS = 300_000
CANDLES = {"candles": 1000, "history-mark-candles": 200, "history-index-candles": 200}
GRANULARITIES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1H": 60}
RATIOS: dict[str, tuple[LongShortKind, str]] = {
    "account-long-short": ("account", "Account"),
    "position-long-short": ("position", "Position"),
}


def product_of(item: Instrument) -> str:
    """The product line that an instrument belongs to."""
    return "COIN-FUTURES" if item.inverse else f"{item.quote}-FUTURES"


class BitgetRest:
    """The HTTP side. Every answer is wrapped in a code, a text in REST."""

    def __init__(self, model: MarketModel, quotes: Sequence[Quote]) -> None:
        self._model = model
        self._quotes = quotes
        self._by_name = by_name(quotes)
        self._second = 0
        self._asked: dict[str, int] = {}

    def answer(self, method: str, path: str, query: Mapping[str, str], now_ms: int) -> Answer:
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
        quotes = [quote for quote in self._quotes if product_of(quote.instrument) == line]
        name = query.get("symbol")
        if name is not None:
            quotes = [quote for quote in quotes if quote.instrument.name == name]
            if not quotes:
                return _refused("40034", f"Parameter {name} does not exist", now_ms)
        if what == "contracts":
            return _ok(self._contracts(quotes, line, name is None), now_ms)
        if what == "tickers":
            return _ok([self._ticker(quote, now_ms) for quote in quotes], now_ms)
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

    def _ticker(self, quote: Quote, now_ms: int) -> dict[str, str]:
        item, digits = quote.instrument, quote.instrument.price_digits
        before, high, low = (value * item.multiplier for value in self._model.state(item.symbol).day())
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


def _noisy(quote: Quote) -> str:
    """Open interest with the noise of binary floats in its last digits, as the venue sends it."""
    return fixed(quote.contracts, 13)


def _ok(data: Any, now_ms: int) -> Answer:
    return Answer(200, encode({"code": "00000", "msg": "success", "requestTime": now_ms, "data": data}))


def _refused(code: str, message: str, now_ms: int) -> Answer:
    return Answer(400, encode({"code": code, "msg": message, "requestTime": now_ms, "data": None}))
