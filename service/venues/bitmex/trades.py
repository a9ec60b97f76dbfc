"""BitMEX's trades, liquidations and settled rates of the past.

Facts from the venue page: a trade's `side` is the taker's; `partial` holds old trades; `Referential` and `Settlement`
rows are no trades. A row of `liquidation` is an order resting in the book, `side` the order's (Sell: a long position
is liquidated): what is liquidated is the largest `leavesQty` seen, told as the insert and each growth beyond it.
History: `GET /funding`, newest first (API explorer). Past mark prices do not exist ("not available historically",
BitMEX/api-connectors issue 123) and past open interest is not published either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.model import Decoded, ExtraStream, Listing, PositionSide
from service.venues.bitmex.messages import interval_h
from service.venues.contract import Catalog, ConnectionPlan, KeepAlive, Request, sockets
from service.venues.emit import contract_coins, guarded, label, mapping, need
from service.venues.history import context_of, same_name, subject_of
from service.venues.liquidations import LiquidationReader, is_buy
from service.venues.numbers import coins, iso_ms, price, rate, text
from service.venues.trades import Print, traded

KEEPALIVE = KeepAlive("ping", 5.0, only_when_idle=True)
RATES_A_PAGE = 100
ORDERS_MOST = 10_000  # liquidation orders remembered: far more than ever rest in the book at once


def subscription(topic: str) -> str:
    """The request for one topic: a bad one fails its whole request."""
    return orjson.dumps({"op": "subscribe", "args": [topic]}).decode()


def _trades(listings: Sequence[Listing]) -> tuple[str, ...]:
    return tuple(subscription(f"trade:{item.instrument}") for item in listings)


def extra_plans(
    url: str, listings: Sequence[Listing], extras: Sequence[ExtraStream], most: int
) -> list[ConnectionPlan]:
    """All liquidations on one socket, trades by instrument on others."""
    plans: list[ConnectionPlan] = []
    if "liquidation" in extras and listings:
        plans.append(ConnectionPlan("liquidation-extra-1", url, (subscription("liquidation"),), (), 1, KEEPALIVE))
    if "flow" in extras:
        plans += sockets("trade-extra", url, listings, most, _trades, (), KEEPALIVE)
    return plans


def history_requests(rest: str, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """The settled rates."""
    name = listing.instrument
    url = f"{rest}/funding?symbol={name}&count={RATES_A_PAGE}&reverse=true"
    return [Request("GET", url, context=context_of("funding", name))]


@dataclass(slots=True)
class _Order:
    """A liquidation order in the book: the most contracts it has had, and its last price per venue unit."""

    name: str
    side: PositionSide
    at: float
    most: float


class BitmexExtras(LiquidationReader):
    """The part of the decoder that reads them."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self._orders: dict[str, _Order] = {}

    # -- trades ------------------------------------------------------------------------------------------------

    def _trades(self, action: str, rows: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        if action != "insert":
            return
        prints: list[Print] = []
        for row in rows:
            guarded(out, self._trade, row, prints)
        self._tell_trades(prints, False, recv_ts, out)

    def _trade(self, row: Any, prints: list[Print]) -> None:
        fields = mapping(row, "data[]")
        listing = self._listing(text(need(fields, "symbol")))
        kind = fields.get("trdType")
        if listing is None or (kind is not None and label(kind, "trdType") != "Regular"):
            return
        side, contracts = is_buy(need(fields, "side")), coins(need(fields, "size"))
        if contracts == 0.0:
            return  # an index print
        each, at, key = (
            price(need(fields, "price")),
            iso_ms(need(fields, "timestamp")),
            text(need(fields, "trdMatchID")),
        )
        size = contract_coins(listing, each)
        # Of a quanto contract the venue says the coins itself.
        amount = coins(need(fields, "homeNotional")) * listing.multiplier if size is None else contracts * size
        prints.append(Print(listing, side, traded(amount), each, at, key))

    # -- liquidations ------------------------------------------------------------------------------------------

    def _liquidations(self, action: str, rows: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        for row in rows:
            guarded(out, self._order, action, row, recv_ts, out)

    def _order(self, action: str, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        """A partial holds orders that were there before us: they count from their next growth on."""
        fields = mapping(row, "data[]")
        key = text(need(fields, "orderID"))
        if action == "delete":
            self._orders.pop(key, None)
            return
        order = self._orders.get(key)
        if action == "update":
            if order is None:
                return
            contracts = coins(fields["leavesQty"]) if fields.get("leavesQty") is not None else order.most
            order.at = price(fields["price"]) if fields.get("price") is not None else order.at
        else:
            name, side = text(need(fields, "symbol")), is_buy(need(fields, "side"))
            contracts, at = coins(need(fields, "leavesQty")), price(need(fields, "price"))
            if order is None:
                before = contracts if action == "partial" else 0.0
                order = self._orders[key] = _Order(name, "short" if side else "long", at, before)
                if len(self._orders) > ORDERS_MOST:
                    del self._orders[next(iter(self._orders))]
        if contracts > order.most:
            grown, order.most = contracts - order.most, contracts
            self._liquidated(f"{key} {contracts}", order, grown, recv_ts, out)

    def _liquidated(self, key: str, order: _Order, contracts: float, recv_ts: int, out: list[Decoded]) -> None:
        """Rows carry no time."""
        listing = self._listing(order.name)
        if listing is None:
            return
        amount = self._coins_in(listing, contracts, order.at, out)
        if amount is not None:
            self._tell_liquidation(key, listing, order.side, amount, order.at, False, None, recv_ts, out)

    # -- HTTP answers ------------------------------------------------------------------------------------------

    def _past_answer(self, rows: list[Any], recv_ts: int, context: str, out: list[Decoded]) -> bool:
        """Whether the answer was one of history, told by its context."""
        asked = subject_of(context)
        if asked is None:
            return False
        if asked[0] == "funding":
            for row in rows:
                guarded(out, self._settled_rate, row, asked[1], recv_ts, out)
        return True

    def _settled_rate(self, row: Any, name: str, recv_ts: int, out: list[Decoded]) -> None:
        fields = mapping(row, "row")
        same_name(text(need(fields, "symbol")), name)
        listing = self._listing(name)
        if listing is not None:
            settled = [(iso_ms(need(fields, "timestamp")), rate(need(fields, "fundingRate")))]
            hours = interval_h(need(fields, "fundingInterval"))
            self._history_funding(listing, settled, (), hours, recv_ts, out)
