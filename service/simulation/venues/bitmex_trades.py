"""BitMEX trades and liquidation orders of the simulated server, in the venue's units."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from service.simulation.iso import iso
from service.simulation.market import Quote
from service.simulation.quotes import Trade
from service.simulation.venues.bitmex_rows import USDT, XBT, index_symbol

TICKS = ("PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick")


class Event(NamedTuple):
    """A change of the liquidation table."""

    symbol: str
    action: str
    row: dict[str, Any]


class Liquidations:
    """Liquidation orders resting in the book: each is inserted, changes or not, and is deleted a second later.

    What is liquidated is the most that an order has ever had: one in three shrinks, one in three grows.
    """

    def __init__(self) -> None:
        self._resting: dict[str, tuple[dict[str, Any], int, int]] = {}  # id -> row, whole size, kind

    def rows(self, symbol: str) -> list[dict[str, Any]]:
        """The orders of one instrument, or of all (""), that rest now."""
        return [dict(row) for row, _, _ in self._resting.values() if symbol in ("", row["symbol"])]

    def advance(self, quotes: Iterable[Quote]) -> list[Event]:
        """The next second: what became of the orders, and the new ones."""
        events: list[Event] = []
        for key, (row, whole, kind) in self._resting.items():
            symbol, head = row["symbol"], {"orderID": key, "symbol": row["symbol"]}
            if kind == 1:
                events.append(Event(symbol, "update", {**head, "price": row["price"] * 1.0001}))
                events.append(Event(symbol, "update", {**head, "leavesQty": whole // 2}))
            elif kind == 2 and whole > row["leavesQty"]:
                events.append(Event(symbol, "update", {**head, "leavesQty": whole}))
            events.append(Event(symbol, "delete", head))
        self._resting = {}
        for quote in quotes:
            for fill in quote.liquidations():
                row, whole, kind = _order(quote, fill)
                self._resting[row["orderID"]] = (row, whole, kind)
                events.append(Event(row["symbol"], "insert", dict(row)))
        return events


def _order(quote: Quote, fill: Trade) -> tuple[dict[str, Any], int, int]:
    whole, kind = round(fill.contracts), fill.number % 3
    row = {
        "orderID": _guid(quote, fill),
        "symbol": quote.instrument.name,
        "side": fill.taker.capitalize(),  # of the order: Sell closes a long
        "price": fill.price,
        "leavesQty": max(1, whole * 3 // 5) if kind == 2 else whole,
    }
    return row, whole, kind


def trades(quote: Quote, fills: Iterable[Trade]) -> list[dict[str, Any]]:
    """Rows of the trade table."""
    return [_trade(quote, fill) for fill in fills]


def _trade(quote: Quote, fill: Trade) -> dict[str, Any]:
    item, price = quote.instrument, fill.price
    home = fill.contracts * quote.coins_each(price) / item.multiplier
    if item.unit == "usd":
        gross = home * XBT
    elif item.unit == "quanto":
        gross = fill.contracts * item.native_size * price * XBT
    else:
        gross = home * price * USDT
    return {
        "timestamp": iso(fill.ts),
        "symbol": item.name,
        "side": fill.taker.capitalize(),
        "size": round(fill.contracts),
        "price": price,
        "tickDirection": TICKS[fill.number % len(TICKS)],
        "trdMatchID": _guid(quote, fill),
        "grossValue": round(gross),
        "homeNotional": home,
        "foreignNotional": home * price,
        "trdType": "Regular",
    }


def referential(quotes: Sequence[Quote], now_ms: int) -> list[dict[str, Any]]:
    """Index prints, which come among the trades of a client who subscribes to all: no trades."""
    prices = {index_symbol(quote): quote.index for quote in quotes}
    kind = {"side": "Buy", "size": 0, "tickDirection": "ZeroPlusTick", "trdType": "Referential"}
    return [{"timestamp": iso(now_ms), "symbol": name, "price": price, **kind} for name, price in prices.items()]


def _guid(quote: Quote, fill: Trade) -> str:
    return f"{zlib.crc32(quote.instrument.name.encode()):08x}-006d-4000-8000-{fill.number:012x}"
