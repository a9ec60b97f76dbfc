"""Aster as its pages describe it: Binance's USD-M protocol with rules of its own.

No routes; at most 200 streams a socket; a ping each 5 minutes, 15 to answer it; errors without a cover. `fundingInfo`
names every instrument; `/futures/data/*` is not there; `openInterest` is, though no page has it. Beside the
perpetuals stand what a client must leave out: a market in USD without a book (its mark is the index), a stock and gold,
all of them called COIN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.simulation.market import HOUR_MS, Quote
from service.simulation.protocol import Frame, Session, encode, fixed
from service.simulation.quotes import Trade
from service.simulation.venues.binance import BinanceUsdm, Reply, bars_weight, order_of, streams_session


@dataclass(frozen=True, slots=True)
class Other:
    """A market that is no perpetual of a coin in dollars. ``price``: without the simulated coin of its base."""

    base: str
    quote: str
    price: float
    rate: float
    interval_h: int

    @property
    def name(self) -> str:
        return self.base + self.quote


OTHERS = (
    Other("BTC", "USD", 83_000.0, 0.0, 2),
    Other("TSLA", "USDT", 401.25, 0.00002, 8),
    Other("XAU", "USDT", 4_100.5, 0.00003, 4),
)


class Aster(BinanceUsdm):
    venue = "aster"
    products = ("aster",)
    api = "/fapi/v3/"
    max_streams = 200
    ping_every_ms = 300_000
    pong_within_ms = 900_000

    def addresses(self, authority: str) -> tuple[dict[str, str], str]:
        return {"market": f"ws://{authority}"}, f"http://{authority}"

    def accept(self, path: str, query: Mapping[str, str], session_id: str, now_ms: int) -> Session | None:
        return streams_session(path, query, session_id, now_ms)

    def error(self, number: int | None, message: str, code: int = 2) -> Frame:
        document: dict[str, Any] = {"code": code, "msg": message}
        if number is not None:
            document["id"] = number
        return Frame(encode(document))

    # -- frames ----------------------------------------------------------------------------------------------------

    def marks(self, now_ms: int) -> list[dict[str, Any]]:
        return super().marks(now_ms) + [self._other_mark(other, now_ms) for other in OTHERS]

    def mark_of(self, name: str, now_ms: int) -> dict[str, Any] | None:
        found = [self._other_mark(other, now_ms) for other in OTHERS if other.name == name]
        return found[0] if found else super().mark_of(name, now_ms)

    def _mark(self, quote: Quote, now_ms: int) -> dict[str, Any]:
        return {key: value for key, value in super()._mark(quote, now_ms).items() if key not in ("ap", "st")}

    def _other_mark(self, other: Other, now_ms: int) -> dict[str, Any]:
        price = fixed(self._price(other), 8)
        return {
            "e": "markPriceUpdate",
            "E": now_ms,
            "s": other.name,
            "p": price,
            "P": price,
            "i": price,
            "r": fixed(other.rate, 8) if other.rate else "0",
            "T": _next_ts(other, now_ms),
        }

    def _price(self, other: Other) -> float:
        """The index of the coin of that name, where it is simulated."""
        return next((quote.index for quote in self.quotes if quote.instrument.base == other.base), other.price)

    def _aggregate(self, quote: Quote, trade: Trade) -> dict[str, Any]:
        return {key: value for key, value in super()._aggregate(quote, trade).items() if key not in ("nq", "st")}

    def _forced(self, quote: Quote, topic: str, now_ms: int) -> Iterator[Frame]:
        """At most one order per symbol and second: the latest."""
        for trade in quote.liquidations()[-1:]:
            yield Frame(encode({"e": "forceOrder", "E": now_ms, "o": order_of(quote, trade)}), topic)

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def _cost(self, path: str, query: Mapping[str, str]) -> int:
        return bars_weight(query) if path.endswith("PriceKlines") else 1

    def _document(self, path: str, query: Mapping[str, str], now_ms: int) -> Reply:
        if path == f"{self.api}fundingInfo":
            rows = [(quote.instrument.name, quote.instrument.interval_h, quote.instrument.cap) for quote in self.quotes]
            rows += [(other.name, other.interval_h, 0.02) for other in OTHERS]
            return 200, [_funding_info(name, hours, cap, now_ms) for name, hours, cap in rows]
        return super()._document(path, query, now_ms)

    def _statistics(self, what: str, query: Mapping[str, str], now_ms: int) -> Reply:
        return 404, {"code": -5000, "msg": f"Path /futures/data/{what}, Method GET is invalid"}

    def _premiums(self, query: Mapping[str, str], now_ms: int) -> Reply:
        status, rows = super()._premiums(query, now_ms)
        return status, rows if "symbol" in query else rows + [self._other_premium(other, now_ms) for other in OTHERS]

    def _other_premium(self, other: Other, now_ms: int) -> dict[str, Any]:
        mark = self._other_mark(other, now_ms)
        return {
            "symbol": other.name,
            "markPrice": mark["p"],
            "indexPrice": mark["i"],
            "estimatedSettlePrice": mark["P"],
            "lastFundingRate": mark["r"],
            "interestRate": "0" if other.quote == "USD" else "0.00010000",
            "nextFundingTime": mark["T"],
            "time": now_ms,
        }

    def _exchange_info(self, now_ms: int) -> dict[str, Any]:
        info = super()._exchange_info(now_ms)
        if self.quotes:
            for other in OTHERS:
                row = self._row(self.quotes[0], "PERPETUAL", other.name, "TRADING")
                names = {"pair": other.name, "baseAsset": other.base, "quoteAsset": other.quote, "marginAsset": "USDT"}
                info["symbols"].append({**row, **names, "underlyingSubType": []})
        return info


def _next_ts(other: Other, now_ms: int) -> int:
    interval_ms = other.interval_h * HOUR_MS
    return (now_ms // interval_ms + 1) * interval_ms


def _funding_info(name: str, interval_h: int, cap: float, now_ms: int) -> dict[str, Any]:
    return {
        "symbol": name,
        "interestRate": "0" if name.endswith("USD") else "0.00010000",
        "time": now_ms,
        "fundingIntervalHours": interval_h,
        "fundingFeeCap": cap,
        "fundingFeeFloor": -cap,
    }
