"""Bybit: taker flow (`publicTrade.<symbol>`), liquidations (`allLiquidation.<symbol>`), long/short account ratios.

Facts from the venue page. Trades: `S` is the taker's side, `v` base coins (dollars on an inverse contract), `BT` a
block trade, which is no taker flow, `i` the id; up to 1024 in a message; none are sent again on subscribing.
Liquidations: all of them; `S` is the side of the position (Buy: a long was liquidated, unlike Binance's order side),
`p` the bankruptcy price, at which an inverse contract's dollars are converted. The retired topic `liquidation.<symbol>`
is not read.
Ratios: `GET /v5/market/account-ratio`, `linear` for USDT perpetuals only.
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing, PositionSide
from service.venues.emit import Emit
from service.venues.numbers import coins, long_share, price, text, timestamp_ms
from service.venues.reading import flag, is_buy, mapping
from service.venues.trades import Orders, Print, Trades, coins_of, trade_id, traded


class ExtraRows:
    """Messages and rows of the extra streams."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._trades = Trades(emit)
        self._orders = Orders(emit)

    def trades(self, name: str, frame: dict[str, Any]) -> None:
        """All trades of a message as one flow."""
        listing = self._emit.listing(name)
        if listing is not None:
            prints: list[Print] = []
            self._emit.each(frame["data"], "data", _trade, listing, prints)
            self._trades.tell(prints, False)

    def liquidations(self, name: str, frame: dict[str, Any]) -> None:
        listing = self._emit.listing(name)
        if listing is not None:
            alike: dict[str, int] = {}
            self._emit.each(frame["data"], "data", self._liquidated, listing, alike)

    def _liquidated(self, row: Any, listing: Listing, alike: dict[str, int]) -> None:
        """Rows have no id. ``alike``: how often this message has had a row: the same twice in one are two."""
        fields = _row_of(listing, row)
        side: PositionSide = "long" if is_buy(fields["S"]) else "short"
        at = timestamp_ms(fields["T"])
        amount, bankrupt = _amount(listing, fields)
        row_key = f"{listing.instrument} {at} {side} {amount} {bankrupt}"
        alike[row_key] = alike.get(row_key, 0) + 1
        self._orders.tell(f"{row_key} {alike[row_key]}", listing, side, amount, bankrupt, False, at)

    def ratio(self, fields: dict[str, Any]) -> None:
        listing = self._emit.listing(fields["symbol"])
        if listing is not None:
            share = long_share(fields["buyRatio"], fields["sellRatio"])
            self._emit.long_short(listing, "account", share, timestamp_ms(fields["timestamp"]))


def _trade(row: Any, listing: Listing, prints: list[Print]) -> None:
    fields = _row_of(listing, row)
    if flag(fields["BT"], "BT"):
        return
    bought, key, at = is_buy(fields["S"]), trade_id(fields, "i"), timestamp_ms(fields["T"])
    amount, each = _amount(listing, fields)
    prints.append(Print(listing, bought, traded(amount), each, at, key))


def _row_of(listing: Listing, row: Any) -> dict[str, Any]:
    fields = mapping(row, "data[]")
    said = text(fields["s"])
    if said != listing.instrument:
        raise BadPayload("bad_name", f"data of {said!r} on topic of {listing.instrument}"[:80])
    return fields


def _amount(listing: Listing, fields: dict[str, Any]) -> tuple[float, float]:
    """`v` in canonical coins, an inverse contract's dollars at the row's own price; and that price per venue unit."""
    amount, each = coins(fields["v"]), price(fields["p"])
    return coins_of(listing, amount, each), each
