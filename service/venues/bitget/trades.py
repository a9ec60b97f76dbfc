"""Bitget: trades, liquidations, long/short ratios.

Facts from the venue page: the side of a trade is the taker's, its size in base coins on every product line; the
`snapshot` of a trade channel is history. Liquidations exist on the v3 socket only, one channel a product line; their
`side` is the position's and their `amount` is in quote coins; of a second only the largest is told, so they are a
lower bound. Ratios: "Futures Active Long Short Account/Position Data", periods of 5 minutes, one request a second.
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing, LongShortKind, PositionSide
from service.venues.emit import Emit
from service.venues.numbers import coins, number, price, text, timestamp_ms
from service.venues.reading import is_buy, label, mapping
from service.venues.trades import Orders, Print, Trades, trade_id, traded

RATIO = "long_short:"  # context of a ratio answer: its rows do not name the instrument
KINDS: dict[str, LongShortKind] = {"account": "account", "position": "position"}
TRADE_KEYS = {False: ("side", "size", "price", "ts", "tradeId"), True: ("S", "v", "p", "T", "i")}  # v2; v3 (UTA)


class ExtraRows:
    """Messages and rows of the extra streams."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._trades = Trades(emit)
        self._orders = Orders(emit)

    def trades(self, frame: dict[str, Any], arg: dict[str, Any], modern: bool) -> None:
        name, action = text(arg["symbol" if modern else "instId"]), label(frame["action"], "action")
        if action == "snapshot":
            return  # what was traded before we subscribed
        if action != "update":
            raise BadPayload("unknown_shape", f"action {action}")
        listing = self._emit.listing(name)
        if listing is not None:
            prints: list[Print] = []
            self._emit.each(frame["data"], "data", _trade, listing, TRADE_KEYS[modern], prints)
            self._trades.tell(prints, False)

    def liquidations(self, frame: dict[str, Any], arg: dict[str, Any], modern: bool) -> None:
        self._emit.each(frame["data"], "data", self._liquidated)

    def _liquidated(self, row: Any) -> None:
        """One position closed by force: `buy` was a long one."""
        fields = mapping(row, "data[]")
        listing = self._emit.listing(fields["symbol"])
        if listing is None:
            return
        side: PositionSide = "long" if is_buy(fields["side"]) else "short"
        each, quoted = price(fields["price"]), coins(fields["amount"])
        at, amount = timestamp_ms(fields["ts"]), quoted / each * listing.multiplier
        key = f"{listing.instrument} {at} {side} {quoted} {each}"
        self._orders.tell(key, listing, side, amount, each, True, at)

    def ratio(self, rows: Any, subject: str) -> None:
        """Of the kind and instrument asked for the newest row, whatever their order."""
        asked, _, name = subject.partition(":")
        kind = KINDS.get(asked)
        if kind is None:
            return
        listing = self._emit.listing(name)
        shares: list[tuple[int, float]] = []
        self._emit.each(rows, "data", _share, asked.capitalize(), shares)
        if listing is not None and shares:
            at, share = max(shares)
            self._emit.long_short(listing, kind, share, at)


def _trade(row: Any, listing: Listing, keys: tuple[str, ...], prints: list[Print]) -> None:
    fields = mapping(row, "data[]")
    side, size, each, at = (fields[name] for name in keys[:4])
    amount = traded(coins(size) * listing.multiplier)
    prints.append(Print(listing, is_buy(side), amount, price(each), timestamp_ms(at), trade_id(fields, keys[4])))


def _share(row: Any, what: str, into: list[tuple[int, float]]) -> None:
    """Long over both, so that it does not matter whether they are fractions or percentages."""
    fields = mapping(row, "data[]")
    long, short = (number(fields[f"{side}{what}Ratio"], 0.0, 100.0) for side in ("long", "short"))
    if long + short <= 0.0:
        raise BadPayload("out_of_bounds", "neither long nor short")
    into.append((timestamp_ms(fields["ts"]), long / (long + short)))
