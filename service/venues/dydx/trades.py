"""dYdX v4: trades, and the liquidations among them.

Facts from the venue page: the answer to a `v4_trades` subscription is history and left out; `side` is the taker's,
`size` coins; `type` LIQUIDATED: the taker was being liquidated, so SELL closed a long, and every liquidation of a
subscribed market is told; DELEVERAGED is no trade of a taker's.
"""

from __future__ import annotations

from typing import Any

from service.model import Listing, PositionSide
from service.venues.dydx.metadata import find, market_name
from service.venues.emit import Emit
from service.venues.numbers import coins, iso_ms, price
from service.venues.reading import is_buy, label, mapping
from service.venues.trades import Print, Trades, trade_id, traded


def tell_trades(emit: Emit, trades: Trades, market: Any, parts: list[Any]) -> None:
    """The trades of one message: of one market, in one or several contents."""
    listing = find(emit, market_name(market))
    if listing is None:
        return
    prints: list[Print] = []

    def read(part: Any) -> None:
        emit.each(mapping(part, "contents")["trades"], "trades", _read_trade, listing, prints)

    emit.each(parts, "contents", read)
    trades.tell(prints, False)


def _read_trade(row: Any, listing: Listing, prints: list[Print]) -> None:
    fields = mapping(row, "trade")
    kind, bought = label(fields.get("type", ""), "type"), is_buy(fields["side"])
    each, amount = price(fields["price"]), traded(coins(fields["size"]) * listing.multiplier)
    at, key = iso_ms(fields["createdAt"]), trade_id(fields, "id")
    if kind != "DELEVERAGED":
        closed: PositionSide = "short" if bought else "long"
        liquidated = (closed,) if kind == "LIQUIDATED" else ()
        prints.append(Print(listing, bought, amount, each, at, key, liquidated))
