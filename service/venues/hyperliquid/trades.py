"""Hyperliquid: trades of a coin.

Facts from the venue page. `side` is the aggressor's, "B" bought, "A" sold; `sz` in units of the coin's name; (time,
coin, tid) identifies a trade, `tid` alone does not. On subscribing the last 30 fills are sent again without any mark:
what is older than the acknowledgement is left out. There is no public liquidation channel, and liquidations in the
book look like any trade: none are told.
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.venues.emit import Emit
from service.venues.numbers import coins, price, timestamp_ms
from service.venues.reading import label, mapping
from service.venues.trades import Print, Trades, traded

SIDES = {"B": True, "A": False}  # whether the taker bought


def tell_trades(emit: Emit, trades: Trades, rows: Any) -> None:
    """The trades of one message, of any coins."""
    prints: list[Print] = []
    emit.each(rows, "data", _read_trade, emit, prints)
    trades.tell(prints, False)


def _read_trade(row: Any, emit: Emit, prints: list[Print]) -> None:
    fields = mapping(row, "trade")
    listing = emit.listing(fields["coin"])
    if listing is None:
        return
    bought = SIDES.get(label(fields["side"], "side"))
    if bought is None:
        raise BadPayload("unknown_shape", f"side {fields['side']}"[:80])
    each, amount = price(fields["px"]), coins(fields["sz"]) * listing.multiplier
    at, tid = timestamp_ms(fields["time"]), fields.get("tid")
    if type(tid) is not int and "tid" in fields:
        raise BadPayload("wrong_type", "tid")
    prints.append(Print(listing, bought, traded(amount), each, at, "" if tid is None else str(tid)))
