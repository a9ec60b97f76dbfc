"""Deribit: trades, and the liquidations among them (`trades.{instrument}.100ms`).

Facts from the venue page: `direction` is the taker's, `amount` USD for inverse and coins for linear perpetuals;
`liquidation` says who was liquidated: T the taker, M the maker, MT both; of these, who sold was long. Trades that REST
marks so have come without the mark: a lower bound. Block trades (`block_trade_id`) are agreed off the book and left
out; legs of combos are real trades.
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import PositionSide
from service.venues.emit import Emit
from service.venues.numbers import coins, price, timestamp_ms
from service.venues.reading import is_buy, mapping
from service.venues.trades import Print, Trades, coins_of, trade_id, traded

Sides = tuple[PositionSide, ...]
# Whose positions were closed: where the taker bought, and where the taker sold.
LIQUIDATED: dict[str, tuple[Sides, Sides]] = {
    "T": (("short",), ("long",)),
    "M": (("long",), ("short",)),
    "MT": (("short", "long"), ("long", "short")),
}


class TradeRows:
    """Rows of the trade channels."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._trades = Trades(emit)

    def tell(self, rows: Any, channel: str) -> None:
        prints: list[Print] = []
        self._emit.each(rows, "data", self._read, prints)
        self._trades.tell(prints, True)

    def _read(self, row: Any, prints: list[Print]) -> None:
        fields = mapping(row, "trade")
        listing = self._emit.listing(fields["instrument_name"])
        if listing is None or fields.get("block_trade_id") is not None:
            return
        bought, each, amount = is_buy(fields["direction"]), price(fields["price"]), coins(fields["amount"])
        at, key = timestamp_ms(fields["timestamp"]), trade_id(fields, "trade_id")
        closed: Sides = ()
        said = fields.get("liquidation")
        if said is not None:
            sides = LIQUIDATED.get(said) if type(said) is str else None
            if sides is None:
                raise BadPayload("unknown_shape", "liquidation")
            closed = sides[0] if bought else sides[1]
        prints.append(Print(listing, bought, traded(coins_of(listing, amount, each)), each, at, key, closed))
