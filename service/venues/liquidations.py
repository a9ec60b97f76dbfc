"""Liquidations that come as orders of their own, each told once over all connections of a venue. Pure."""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Decoded, Listing, PositionSide
from service.venues.emit import label
from service.venues.trades import TradeReader

ORDERS_KEPT = 4096  # of one venue: far more than come while one socket takes over from another


class LiquidationReader(TradeReader):
    """Base of the decoders of venues with a channel for liquidations."""

    def _tell_liquidation(
        self,
        key: str,
        listing: Listing,
        side: PositionSide,
        coins: float,
        price: float | None,
        lower_bound: bool,
        venue_ts: int | None,
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        """One forced order, unless ``key`` was told before: two sockets bring the same while one takes over."""
        if key not in self._catalog.liquidated:
            out.append(self._liquidation(listing, side, coins, price, lower_bound, venue_ts, recv_ts))
            self._told(key, venue_ts, coins)

    def _told(self, key: str, venue_ts: int | None, amount: float) -> None:
        """So much of an order has been told, as of this time."""
        known = self._catalog.liquidated
        known.pop(key, None)
        known[key] = (venue_ts, amount)
        if len(known) > ORDERS_KEPT:
            del known[next(iter(known))]


def is_buy(value: Any) -> bool:
    """A side: `buy` or `sell`, in any case. Raises :exc:`BadPayload` for anything else."""
    side = label(value, "side").lower()
    if side not in ("buy", "sell"):
        raise BadPayload("unknown_shape", f"side {side}"[:80])
    return side == "buy"
