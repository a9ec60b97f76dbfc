"""BitMEX: trades and liquidations.

Facts from the venue page: a trade's `side` is the taker's; `partial` holds old trades; `Referential` and `Settlement`
rows are no trades. A row of `liquidation` is an order resting in the book, `side` the order's (Sell: a long position
is liquidated): what is liquidated is the largest `leavesQty` seen, told as the insert and each growth beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service.model import Listing, PositionSide
from service.venues.bitmex.metadata import BITCOIN
from service.venues.emit import Emit, contract_coins
from service.venues.numbers import coins, iso_ms, price, text
from service.venues.reading import is_buy, label, mapping
from service.venues.trades import Orders, Print, Trades, coins_in, traded

ORDERS_MOST = 10_000  # liquidation orders remembered: far more than ever rest in the book at once


@dataclass(slots=True)
class _Order:
    """A liquidation order in the book: the most contracts it has had, and its last price per venue unit."""

    name: str
    side: PositionSide
    at: float
    most: float


class ExtraRows:
    """Rows of the extra streams' tables."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._trades = Trades(emit)
        self._told = Orders(emit)
        self._book: dict[str, _Order] = {}

    def trades(self, action: str, rows: list[Any]) -> None:
        if action == "insert":
            prints: list[Print] = []
            self._emit.each(rows, "data", self._trade, prints)
            self._trades.tell(prints, False)

    def _trade(self, row: Any, prints: list[Print]) -> None:
        fields = mapping(row, "data[]")
        listing, kind = self._emit.listing(fields["symbol"]), fields.get("trdType")
        if listing is None or (kind is not None and label(kind, "trdType") != "Regular"):
            return
        bought, contracts = is_buy(fields["side"]), coins(fields["size"])
        if contracts == 0.0:
            return  # an index print
        each, at, key = price(fields["price"]), iso_ms(fields["timestamp"]), text(fields["trdMatchID"])
        size = contract_coins(listing, each)
        # Of a quanto contract the venue says the coins itself.
        amount = coins(fields["homeNotional"]) * listing.multiplier if size is None else contracts * size
        prints.append(Print(listing, bought, traded(amount), each, at, key))

    def liquidations(self, action: str, rows: list[Any]) -> None:
        self._emit.each(rows, "data", self._order, action)

    def _order(self, row: Any, action: str) -> None:
        """A partial holds orders that were there before us: they count from their next growth on."""
        fields = mapping(row, "data[]")
        key = text(fields["orderID"])
        if action == "delete":
            self._book.pop(key, None)
            return
        order = self._book.get(key)
        if action == "update":
            if order is None:
                return
            contracts = coins(fields["leavesQty"]) if fields.get("leavesQty") is not None else order.most
            order.at = price(fields["price"]) if fields.get("price") is not None else order.at
        else:
            name, bought = text(fields["symbol"]), is_buy(fields["side"])
            contracts, at = coins(fields["leavesQty"]), price(fields["price"])
            if order is None:
                before = contracts if action == "partial" else 0.0
                order = self._book[key] = _Order(name, "short" if bought else "long", at, before)
                if len(self._book) > ORDERS_MOST:
                    del self._book[next(iter(self._book))]
        if contracts > order.most:
            grown, order.most = contracts - order.most, contracts
            self._liquidated(f"{key} {contracts}", order, grown)

    def _liquidated(self, key: str, order: _Order, contracts: float) -> None:
        """Rows carry no time."""
        listing = self._emit.listing(order.name)
        amount = None if listing is None else self._coins(listing, contracts, order.at)
        if listing is not None and amount is not None:
            self._told.tell(key, listing, order.side, amount, order.at, False, None)

    def _coins(self, listing: Listing, contracts: float, each: float) -> float | None:
        """Of a quanto contract through bitcoin's last mark on any connection: rows here say nothing else."""
        catalog = self._emit.catalog
        per_dollar, bitcoin = catalog.quanto.get(listing.instrument), catalog.marks.get(BITCOIN)
        if listing.contract_size is None and per_dollar is not None and bitcoin is not None:
            return contracts * per_dollar * bitcoin * listing.multiplier
        return coins_in(self._emit, listing, contracts, each)
