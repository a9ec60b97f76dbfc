"""Bybit: taker flow (`publicTrade.<symbol>`), liquidations (`allLiquidation.<symbol>`), long/short account ratios.

Facts from the venue page. Trades: `S` is the taker's side, `v` base coins (dollars on an inverse contract), `BT` a
block trade, which is no taker flow, `i` the id; up to 1024 in a message; none are sent again on subscribing.
Liquidations: all of them; `S` is the side of the position (Buy: a long was liquidated, unlike Binance's order side),
`p` the bankruptcy price, at which an inverse contract's dollars are converted. The retired topic `liquidation.<symbol>`
is not read.
Ratios: `GET /v5/market/account-ratio`, `linear` for USDT perpetuals only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from service.errors import BadPayload
from service.model import Decoded, Endpoints, ExtraStream, Listing, PositionSide
from service.venues.contract import ConnectionPlan, KeepAlive, Poll, Request, sockets
from service.venues.emit import guarded, items, mapping, need
from service.venues.liquidations import LiquidationReader, is_buy
from service.venues.numbers import coins, long_share, price, text, timestamp_ms
from service.venues.symbols import canonical_price
from service.venues.trades import Print, traded

TOPICS_PER_FRAME = 10  # one bad topic fails its whole request
TRADES = "publicTrade."
LIQUIDATIONS = "allLiquidation."
RATIO_S = 300.0  # the venue computes them every five minutes
CATEGORIES = ("linear", "inverse")
KEEPALIVE = KeepAlive('{"op":"ping"}', 20.0)  # answered, so that a socket without trades is not mistaken for a dead one


def category_of(listing: Listing) -> str:
    return "inverse" if listing.inverse else "linear"


def requests_for(*prefixes: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """The requests that subscribe to these topics of some instruments; no request mixes two kinds of topics."""

    def requests(part: Sequence[Listing]) -> tuple[str, ...]:
        batches = [
            [prefix + item.instrument for item in part[first : first + TOPICS_PER_FRAME]]
            for prefix in prefixes
            for first in range(0, len(part), TOPICS_PER_FRAME)
        ]
        return tuple(
            orjson.dumps({"req_id": str(count), "op": "subscribe", "args": batch}).decode()
            for count, batch in enumerate(batches, 1)
        )

    return requests


def extra_connections(
    endpoints: Endpoints, listings: Sequence[Listing], extras: Sequence[ExtraStream], max_topics: int
) -> list[ConnectionPlan]:
    """Trades and liquidations of a category share sockets, liquidations first."""
    prefixes = [prefix for stream, prefix in (("liquidation", LIQUIDATIONS), ("flow", TRADES)) if stream in extras]
    plans: list[ConnectionPlan] = []
    for category in CATEGORIES if prefixes else ():
        wanted, url = [item for item in listings if category_of(item) == category], endpoints.ws[category]
        each = max_topics // len(prefixes)
        plans += sockets(f"{category}-extra", url, wanted, each, requests_for(*prefixes), (), KEEPALIVE)
    return plans


def ratio_polls(endpoints: Endpoints, listings: Sequence[Listing]) -> list[Poll]:
    """One request an instrument: 500 of them take 1.7 of the 120 requests a second that are allowed."""
    return [
        Poll(
            Request(
                "GET",
                f"{endpoints.rest}/v5/market/account-ratio?category={category_of(item)}&symbol={item.instrument}"
                "&period=5min&limit=1",
                context="long_short",
            ),
            RATIO_S,
        )
        for item in listings
        if item.inverse or item.instrument.endswith("USDT")
    ]


class ExtrasReader(LiquidationReader):
    """The decoder's side."""

    def _trades(self, name: str, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        """All trades of a message as one flow."""
        listing = self._listing(name)
        if listing is None:
            return
        prints: list[Print] = []
        for row in items(need(frame, "data"), "data"):
            guarded(out, self._trade, listing, row, prints)
        self._tell_trades(prints, False, recv_ts, out)

    @staticmethod
    def _trade(listing: Listing, row: Any, prints: list[Print]) -> None:
        fields = _row_of(listing, row)
        block = need(fields, "BT")
        if type(block) is not bool:
            raise BadPayload("wrong_type", f"BT: {type(block).__name__} where true or false belongs")
        if block:
            return
        bought, key, at = is_buy(need(fields, "S")), text(need(fields, "i")), timestamp_ms(need(fields, "T"))
        amount, each = _amount(listing, fields)
        prints.append(Print(listing, bought, traded(amount), each, at, key))

    def _liquidations(self, name: str, frame: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        listing = self._listing(name)
        if listing is None:
            return
        alike: dict[str, int] = {}
        for row in items(need(frame, "data"), "data"):
            guarded(out, self._liquidated, listing, row, alike, recv_ts, out)

    def _liquidated(self, listing: Listing, row: Any, alike: dict[str, int], recv_ts: int, out: list[Decoded]) -> None:
        """Rows have no id. ``alike``: how often this message has had a row: the same twice in one are two."""
        fields = _row_of(listing, row)
        side: PositionSide = "long" if is_buy(need(fields, "S")) else "short"
        at = timestamp_ms(need(fields, "T"))
        amount, bankrupt = _amount(listing, fields)
        row_key = f"{listing.instrument} {at} {side} {amount} {bankrupt}"
        alike[row_key] = alike.get(row_key, 0) + 1
        key = f"{row_key} {alike[row_key]}"
        self._tell_liquidation(key, listing, side, amount, bankrupt, False, at, recv_ts, out)

    def _ratio(self, fields: dict[str, Any], recv_ts: int, out: list[Decoded]) -> None:
        listing = self._listing(text(need(fields, "symbol")))
        if listing is None:
            return
        share = long_share(need(fields, "buyRatio"), need(fields, "sellRatio"))
        out.append(self._long_short(listing, "account", share, timestamp_ms(need(fields, "timestamp")), recv_ts))


def _row_of(listing: Listing, row: Any) -> dict[str, Any]:
    fields = mapping(row, "data[]")
    said = text(need(fields, "s"))
    if said != listing.instrument:
        raise BadPayload("bad_name", f"data of {said!r} on topic of {listing.instrument}"[:80])
    return fields


def _amount(listing: Listing, fields: dict[str, Any]) -> tuple[float, float]:
    """`v` in canonical coins, an inverse contract's dollars at the row's own price; and that price per venue unit."""
    amount, each = coins(need(fields, "v")), price(need(fields, "p"))
    if listing.inverse:
        return amount / canonical_price(each, listing.multiplier), each
    return amount * listing.multiplier, each
