"""Public trades to taker flow, and liquidations, each counted once over all connections of a venue. Pure.

While one socket takes over from another both bring the same, and some venues send their latest trades again on
subscribing. What was counted in the last seconds is therefore kept per instrument for all connections of a venue, and a
connection can be told from when on an instrument's trades are news to it. Trades need not come in order of their times,
as Binance's do not, but none may be later than ``LATE_MS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from service.errors import BadPayload
from service.model import Listing, PositionSide
from service.venues.emit import Emit, contract_coins
from service.venues.numbers import COINS_MAX, number, text
from service.venues.symbols import canonical_price

AHEAD_MS = 2000  # a time further ahead of its receipt is no time: it must not make later trades look old
LATE_MS = 5000  # a trade older than the newest by this or more was counted before; well above AHEAD_MS and any delay
ORDERS_KEPT = 4096  # liquidations of one venue: far more than come while one socket takes over from another


class Print(NamedTuple):
    """One trade. ``coins``: canonical, > 0; ``price`` per venue unit; ``at``: UTC ms; ``key`` tells it from others of
    that ms, "" where the venue gave it no id; ``liquidated``: whose positions were closed by force, of the taker or the
    maker or both; ``flow``: False for one that nobody took from the book."""

    listing: Listing
    buys: bool
    coins: float
    price: float
    at: int
    key: str
    liquidated: tuple[PositionSide, ...] = ()
    flow: bool = True


class Trades:
    """The trades of one connection."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._since: dict[str, int] = {}  # topic -> when this connection subscribed to it

    def begin(self, topic: str) -> None:
        """This connection hears ``topic`` from now on: what it brings from before is history."""
        self._since.setdefault(topic, self._emit.recv_ts)

    def begun(self, topic: str) -> int:
        """When :meth:`begin` was first called for ``topic``, UTC ms; 0 if it never was."""
        return self._since.get(topic, 0)

    def tell(self, prints: Sequence[Print], lower_bound: bool) -> None:
        """The liquidations among the trades of one frame, and one flow per instrument. ``lower_bound``: not all
        liquidations are marked as such."""
        by_instrument: dict[str, list[Print]] = {}
        for item in prints:
            by_instrument.setdefault(item.listing.instrument, []).append(item)
        for name, trades in by_instrument.items():
            self._emit.guard(self._instrument, name, trades, lower_bound)

    def _instrument(self, name: str, trades: list[Print], lower_bound: bool) -> None:
        """All of an instrument or, where its sums are absurd, nothing."""
        emit = self._emit
        told = len(emit.out)
        bought = sold = 0.0
        newest = 0
        try:
            for item in self._news(name, trades):
                for side in item.liquidated:
                    emit.liquidation(item.listing, side, item.coins, item.price, lower_bound, item.at)
                if item.flow:
                    bought, sold = (bought + item.coins, sold) if item.buys else (bought, sold + item.coins)
                newest = max(newest, item.at)
            emit.flow(trades[0].listing, bought, sold, newest)
        except BadPayload:
            del emit.out[told:]
            raise

    def _news(self, name: str, trades: list[Print]) -> list[Print]:
        """Those not counted before and not from before this connection's subscription, each once."""
        since, recv_ts, traded = self._since.get(name, 0), self._emit.recv_ts, self._emit.catalog.traded
        newest, known = traded.get(name, (0, {}))
        old = newest - LATE_MS
        news: dict[tuple[int, str], Print] = {}
        alike: dict[tuple[int, str], int] = {}
        for item in trades:
            key = (item.at, item.key)
            if item.key == "":  # told by what it was; of two alike in one message neither is the other
                key = (item.at, f"{item.buys} {item.coins} {item.price}")
                alike[key] = alike.get(key, 0) + 1
                key = (item.at, f"{key[1]} {alike[key]}")
            if item.at < since or item.at <= old or key in known or key in news:
                continue
            news[key] = item
            if recv_ts == 0 or item.at <= recv_ts + AHEAD_MS:
                newest = max(newest, item.at)
        for key in news:
            if key[0] <= newest:  # those of the future are refused later on, by the market
                known[key] = None
        while known and next(iter(known))[0] <= newest - LATE_MS:
            del known[next(iter(known))]
        traded[name] = (newest, known)
        return list(news.values())


class Orders:
    """Liquidations that come as orders of their own. What was told of each is kept for all connections of a venue."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.known = emit.catalog.liquidated

    def tell(
        self,
        key: str,
        listing: Listing,
        side: PositionSide,
        coins: float,
        price: float | None,
        lower_bound: bool,
        venue_ts: int | None,
    ) -> None:
        """One forced order, unless ``key`` was told before: two sockets bring the same while one takes over."""
        if key not in self.known:
            self._emit.liquidation(listing, side, coins, price, lower_bound, venue_ts)
            self.told(key, venue_ts, coins)

    def told(self, key: str, venue_ts: int | None, amount: float) -> None:
        """So much of an order has been told, as of this time."""
        self.known.pop(key, None)
        self.known[key] = (venue_ts, amount)
        if len(self.known) > ORDERS_KEPT:
            del self.known[next(iter(self.known))]


def trade_id(row: dict[str, Any], key: str) -> str:
    """A trade's id; "" where the row has none: the trade counts all the same. Raises :exc:`BadPayload`."""
    return text(row[key]) if key in row else ""


def traded(coins: float) -> float:
    """Canonical coins of one trade, within bounds and not 0. Raises :exc:`BadPayload`."""
    number(coins, 0.0, COINS_MAX)
    if coins == 0.0:
        raise BadPayload("out_of_bounds", "trade of nothing")
    return coins


def coins_of(listing: Listing, amount: float, price: float) -> float:
    """An amount as most venues count it, in canonical coins: dollars at ``price``, per venue unit, of an inverse
    contract; else the venue's coins."""
    return amount / canonical_price(price, listing.multiplier) if listing.inverse else amount * listing.multiplier


def coins_in(emit: Emit, listing: Listing, contracts: float, price: float) -> float | None:
    """Canonical coins in so many contracts at ``price``, per venue unit; None, and said so, where metadata do not tell
    the contract's size."""
    size = contract_coins(listing, price)
    if size is None:
        emit.skipped(listing.instrument, "unknown_contract_size")
        return None
    return contracts * size
