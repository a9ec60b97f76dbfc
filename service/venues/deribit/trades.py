"""Deribit: trades, the liquidations among them, and past funding.

Facts from the venue page. `trades.{instrument}.100ms`: `direction` is the taker's, `amount` USD for inverse and coins
for linear perpetuals; `liquidation` says who was liquidated: T the taker, M the maker, MT both; of these, who sold was
long. Trades that REST marks so have come without the mark: a lower bound. Block trades (`block_trade_id`) are agreed
off the book and left out; legs of combos are real trades.
Past: `public/get_funding_rate_history` (API reference; hourly, `interest_1h` the rate of an hour). Of perpetuals there
is no other: `public/get_mark_price_history` is empty for them by its reference, of open interest there is no history.
The reference does not say whether an hour's stamp is its start or its end: taken as known an hour after the stamp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from service.errors import BadPayload
from service.model import Decoded, Endpoints, ExtraStream, Listing, PositionSide
from service.venues.contract import ConnectionPlan, KeepAlive, Request, sockets
from service.venues.emit import HOUR_MS, guarded, items, mapping, need
from service.venues.history import context_of
from service.venues.liquidations import is_buy
from service.venues.numbers import coins, price, rate, text, timestamp_ms
from service.venues.symbols import canonical_price
from service.venues.trades import Print, TradeReader, traded

KEEPALIVE_ID = 0
PAST_INTERVAL_H = 1.0
LIQUIDATED = {"T": (True, False), "M": (False, True), "MT": (True, True)}  # the taker, the maker


def call(number: int, method: str, params: dict[str, Any]) -> str:
    """The text of a JSON-RPC request."""
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).decode()


# Not the venue's heartbeat: once opted in, a late reply to its test_request closes the connection.
KEEPALIVE = KeepAlive(call(KEEPALIVE_ID, "public/test", {}), 30.0)


def requests_for(channel: str) -> Callable[[Sequence[Listing]], tuple[str, ...]]:
    """One request a channel of some instruments ({} is the name): a refused one takes the others of its request with
    it."""
    return lambda part: tuple(
        call(count, "public/subscribe", {"channels": [channel.format(item.instrument)]})
        for count, item in enumerate(part, 1)
    )


def extra_connections(
    url: str, listings: Sequence[Listing], extras: Sequence[ExtraStream], most: int
) -> list[ConnectionPlan]:
    """Trades bring the liquidations too."""
    if "flow" not in extras and "liquidation" not in extras:
        return []
    return sockets("extra", url, listings, most, requests_for("trades.{}.100ms"), (), KEEPALIVE)


def history(endpoints: Endpoints, listing: Listing, since_ms: int, now_ms: int) -> list[Request]:
    """Past funding, with the rate in force at the beginning."""
    start_ms = since_ms - 2 * HOUR_MS
    query = f"instrument_name={listing.instrument}&start_timestamp={start_ms}&end_timestamp={now_ms}"
    url = f"{endpoints.rest}/public/get_funding_rate_history?{query}"
    return [Request("GET", url, context=context_of("funding", listing.instrument))]


class DeribitTrades(TradeReader):
    """The decoder's part for these."""

    def _trades(self, rows: list[Any], recv_ts: int, out: list[Decoded]) -> None:
        prints: list[Print] = []
        for row in rows:
            guarded(out, self._trade, row, prints)
        self._tell_trades(prints, True, recv_ts, out)

    def _trade(self, row: Any, prints: list[Print]) -> None:
        fields = mapping(row, "trade")
        listing = self._listing(text(need(fields, "instrument_name")))
        if listing is None or fields.get("block_trade_id") is not None:
            return
        bought = is_buy(need(fields, "direction"))
        each, amount = price(need(fields, "price")), coins(need(fields, "amount"))
        at, key = timestamp_ms(need(fields, "timestamp")), text(need(fields, "trade_id"))
        if listing.inverse:
            amount /= canonical_price(each, listing.multiplier)
        else:
            amount *= listing.multiplier
        liquidated = _liquidated(fields.get("liquidation"), bought)
        prints.append(Print(listing, bought, traded(amount), each, at, key, liquidated))

    def _past_rows(self, parsed: Any, what: str, name: str, recv_ts: int, out: list[Decoded]) -> None:
        listing = self._settling(what, name)
        rows = items(need(mapping(parsed, "answer"), "result"), "result")
        self._tell_history(listing, what, rows, (), PAST_INTERVAL_H, recv_ts, out)

    def _history_rate(self, listing: Listing, row: Any, settled: list[tuple[int, float]]) -> None:
        fields = mapping(row, "result[]")
        settled.append((timestamp_ms(need(fields, "timestamp")) + HOUR_MS, rate(need(fields, "interest_1h"))))


def _liquidated(said: Any, bought: bool) -> tuple[PositionSide, ...]:
    """Whose positions were closed: who was liquidated and sold was long, who bought was short."""
    if said is None:
        return ()
    if type(said) is not str or said not in LIQUIDATED:
        raise BadPayload("unknown_shape", "liquidation")
    closed: tuple[PositionSide, PositionSide] = ("short", "long") if bought else ("long", "short")
    return tuple(side for side, hit in zip(closed, LIQUIDATED[said], strict=True) if hit)
