"""Binance COIN-M futures as its page describes it: as USD-M, but unrouted, in contracts of dollars, indices by pair."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.simulation.market import MarketModel, Quote
from service.simulation.protocol import Frame, Session, encode, fixed, trimmed
from service.simulation.quotes import Trade
from service.simulation.venues import binance_history as past
from service.simulation.venues.binance_usdm import (
    INVALID_SYMBOL,
    BinanceUsdm,
    missing,
)

PERPETUAL = "_PERP"

_PATH = re.compile(r"/(ws|stream)(?:/(.+))?").fullmatch
_STREAM = re.compile(r"([a-z0-9]+)(_perp|)@(markPrice|indexPrice|aggTrade|forceOrder)(@1s)?").fullmatch
_ARRAY = re.compile(r"!(markPrice|forceOrder)@arr(@1s)?").fullmatch


class BinanceCoinm(BinanceUsdm):
    venue = "binance_coinm"
    api = "dapi"

    def __init__(self, model: MarketModel, rng: random.Random) -> None:
        super().__init__(model, rng)
        self._pairs = {quote.instrument.name.removesuffix(PERPETUAL): quote for quote in self.quotes}

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"market": f"ws://{authority}"}, f"http://{authority}"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        match = _PATH(path)
        if match is None:
            return None
        combined = match[1] == "stream"
        session = Session("stream" if combined else "ws", session_id, now_ms, ping_ms=now_ms, last_in_ms=now_ms)
        names = query.get("streams", "") if combined else (match[2] or "")
        session.topics.update(dict.fromkeys(name for name in names.split("/") if name))
        return session

    def pushes(self, wanted: Mapping[str, None], now_ms: int) -> Iterator[Frame]:
        if now_ms % 1000 != 0:
            return
        for topic in wanted:
            array, match = _ARRAY(topic), _STREAM(topic)
            if array is not None:
                if array[1] == "forceOrder":
                    for quote in self.quotes:
                        yield from self._forced(quote, topic, now_ms)
                elif array[2] is not None or now_ms % 3000 == 0:
                    yield Frame(encode([self._mark(quote, now_ms) for quote in self.quotes]), topic)
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
            yield Frame(encode(self._mark(quote, now_ms) if perpetual else self._index(pair, quote, now_ms)), topic)

    def _mark(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        """Without an index, which has a stream of its own."""
        return {
            "e": "markPriceUpdate",
            "E": now_ms,
            "s": quote.instrument.name,
            "p": fixed(quote.mark, 8),
            "P": fixed(quote.index * 1.0001, 8),
            "r": fixed(quote.rate, 8),
            "T": quote.next_ts,
        }

    @staticmethod
    def _index(pair: str, quote: Quote, now_ms: int) -> dict[str, Any]:
        return {"e": "indexPriceUpdate", "E": now_ms, "i": pair, "p": fixed(quote.index, 8)}

    def _aggregate(self, quote: Quote, trade: Trade) -> dict[str, Any]:
        """The size is in contracts; there is no figure without retail orders."""
        row = super()._aggregate(quote, trade)
        return {key: value for key, value in row.items() if key not in ("nq", "st")}

    def _order(self, quote: Quote, trade: Trade) -> dict[str, Any]:
        order = super()._order(quote, trade)
        return {"s": order.pop("s"), "ps": quote.instrument.name.removesuffix(PERPETUAL), **order}

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

    def _premiums(self, query: Mapping[str, str], now_ms: int) -> past.Reply:
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

    def _statistics(self, what: str, query: Mapping[str, str], now_ms: int) -> past.Reply:
        if what != "openInterestHist" and what not in past.RATIOS:
            return 404, {"code": -5000, "msg": f"Path {what}, Method GET is invalid"}
        pair = query.get("pair")
        if pair is None:
            return missing("pair")
        if pair not in self._pairs:
            return INVALID_SYMBOL
        quote, kind = self._pairs[pair], query.get("contractType")
        if what in past.RATIOS:
            return past.ratio(quote, {"pair": pair}, past.RATIOS[what], query, now_ms)
        if kind is None:
            return missing("contractType")
        if kind not in ("PERPETUAL", "ALL"):
            return 200, []
        return past.interest(quote, {"pair": pair, "contractType": kind}, query, now_ms)

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
