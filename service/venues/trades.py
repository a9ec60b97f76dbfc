"""Public trades to taker flow and liquidations, each trade counted once. Pure.

While one socket takes over from another both bring the same trades, and some venues send their latest trades again on
subscribing. What was counted in the last seconds is therefore kept per instrument for all connections of a venue, and a
connection can be told from when on an instrument's trades are news to it. Trades need not come in order of their times,
as Binance's do not, but none may be later than ``LATE_MS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.errors import BadPayload
from service.model import Decoded, Listing, PositionSide, Skipped
from service.venues.contract import Catalog
from service.venues.emit import contract_coins, guarded
from service.venues.history import HistoryPointReader
from service.venues.numbers import COINS_MAX, number

AHEAD_MS = 2000  # a time further ahead of its receipt is no time: it must not make later trades look old
LATE_MS = 5000  # a trade older than the newest by this or more was counted before; well above AHEAD_MS and any delay


class Print(NamedTuple):
    """One trade. ``coins``: canonical, > 0; ``price`` per venue unit; ``at``: UTC ms; ``key`` tells it from others of
    that ms; ``liquidated``: whose positions were closed by force, of the taker or the maker or both."""

    listing: Listing
    buys: bool
    coins: float
    price: float
    at: int
    key: str
    liquidated: tuple[PositionSide, ...] = ()


class TradeReader(HistoryPointReader):
    """Base of the decoders of venues that report single trades."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self._since: dict[str, int] = {}  # topic -> when this connection subscribed to it

    def _begin(self, topic: str, recv_ts: int) -> None:
        """This connection hears ``topic`` from now on: what it brings from before is history."""
        self._since.setdefault(topic, recv_ts)

    def _tell_trades(self, prints: Sequence[Print], lower_bound: bool, recv_ts: int, out: list[Decoded]) -> None:
        """The liquidations among the trades of one frame, and one flow per instrument. ``lower_bound``: not all
        liquidations are marked as such."""
        by_instrument: dict[str, list[Print]] = {}
        for item in prints:
            by_instrument.setdefault(item.listing.instrument, []).append(item)
        for name, trades in by_instrument.items():
            guarded(out, self._tell_instrument, name, trades, lower_bound, recv_ts, out)

    def _tell_instrument(
        self, name: str, trades: list[Print], lower_bound: bool, recv_ts: int, out: list[Decoded]
    ) -> None:
        found: list[Decoded] = []
        bought = sold = 0.0
        newest = 0
        for item in self._news(name, trades, recv_ts):
            found += [
                self._liquidation(item.listing, side, item.coins, item.price, lower_bound, item.at, recv_ts)
                for side in item.liquidated
            ]
            bought, sold = (bought + item.coins, sold) if item.buys else (bought, sold + item.coins)
            newest = max(newest, item.at)
        flow = self._flow(trades[0].listing, bought, sold, newest, recv_ts)
        if flow is not None:
            out += [*found, flow]

    def _coins_in(self, listing: Listing, contracts: float, at: float, out: list[Decoded]) -> float | None:
        """Canonical coins in so many contracts at ``at``, a price per venue unit; None, and said so, where metadata do
        not tell the contract's size."""
        size = contract_coins(listing, at)
        if size is None:
            out.append(Skipped(self.venue, listing.instrument, "unknown_contract_size"))
            return None
        return contracts * size

    def _news(self, name: str, trades: list[Print], recv_ts: int) -> list[Print]:
        """Those not counted before and not from before this connection's subscription, each once."""
        since = self._since.get(name, 0)
        newest, known = self._catalog.traded.get(name, (0, {}))
        old = newest - LATE_MS
        news: dict[tuple[int, str], Print] = {}
        for item in trades:
            key = (item.at, item.key)
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
        self._catalog.traded[name] = (newest, known)
        return list(news.values())


def traded(coins: float) -> float:
    """Canonical coins of one trade, within bounds and not 0. Raises :exc:`BadPayload`."""
    number(coins, 0.0, COINS_MAX)
    if coins == 0.0:
        raise BadPayload("out_of_bounds", "trade of nothing")
    return coins
