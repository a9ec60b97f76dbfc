"""Lighter: trades of a market, and its liquidations.

Facts from the venue page. `is_maker_ask` true: the taker bought; `size` is coins. Liquidations come in an array of
their own, which may be absent: the taker is the one who is liquidated, so one that bought closed a short, and the
position before it, where it is told, must have that sign. They are taken from the book, so they are taker flow, too.
Every fill is told. `deleverage` and `market-settlement` are no trades of a taker's. The answer to a subscription is
history, old liquidations included.
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing, PositionSide
from service.venues.emit import Emit
from service.venues.numbers import COINS_MAX, coins, number, price, timestamp_ms
from service.venues.reading import flag, label, mapping
from service.venues.trades import Print, Trades, trade_id, traded

NO_TAKER = ("deleverage", "market-settlement")


def tell_trades(emit: Emit, trades: Trades, listing: Listing, market: int, frame: dict[str, Any]) -> None:
    """The trades of one message, of one market."""
    prints: list[Print] = []
    if "liquidation_trades" not in frame and "trades" not in frame:
        raise BadPayload("missing_field", "trades")
    for key, rows in (("liquidation_trades", frame.get("liquidation_trades")), ("trades", frame.get("trades"))):
        if rows is not None:
            emit.guard(emit.each, rows, key, _read_trade, listing, market, prints)
    trades.tell(prints, False)


def _read_trade(row: Any, listing: Listing, market: int, prints: list[Print]) -> None:
    fields = mapping(row, "trade")
    kind, bought = label(fields["type"], "type"), flag(fields["is_maker_ask"], "is_maker_ask")
    if fields["market_id"] != market:
        raise BadPayload("bad_name", f"market {fields['market_id']} among trades of {market}"[:80])
    each, amount = price(fields["price"]), traded(coins(fields["size"]) * listing.multiplier)
    at, key = timestamp_ms(fields["timestamp"]), trade_id(fields, "trade_id_str")
    if kind == "trade":
        prints.append(Print(listing, bought, amount, each, at, key))
    elif kind == "liquidation":
        closed: PositionSide = "short" if bought else "long"
        _check_side(fields, closed)
        prints.append(Print(listing, bought, amount, each, at, key, (closed,)))
    elif kind not in NO_TAKER:
        raise BadPayload("unknown_shape", f"type {kind}")


def _check_side(fields: dict[str, Any], closed: PositionSide) -> None:
    """The position that was closed, by its own sign. Raises :exc:`BadPayload`."""
    if fields.get("taker_position_size_before") is not None:
        before = number(fields["taker_position_size_before"], -COINS_MAX, COINS_MAX)
        if not (before > 0.0 if closed == "long" else before < 0.0):
            raise BadPayload("size_mismatch", f"{closed} liquidated, position before {before:g}")
