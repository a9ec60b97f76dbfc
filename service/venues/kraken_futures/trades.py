"""Kraken Futures: trades, with the liquidations among them.

Facts from the venue page: `side` is the taker's; `liquidation` and `termination` trades are forced, the taker side
being the liquidated one's order (sell: a long position); a termination unwinds a position outside the book, so it is
no taker flow, and neither are block and assignment trades. `trade_snapshot` replays the last trades on subscribing;
the first live trade may be among them (`seq` counts per product).
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import PositionSide
from service.venues.emit import Emit
from service.venues.numbers import coins, price, text, timestamp_ms, within
from service.venues.reading import is_buy, label, mapping
from service.venues.trades import Print, Trades, coins_in, traded

FORCED = ("liquidation", "termination")
TAKEN = ("fill", "liquidation")
LEFT_OUT = ("block", "assignment")

_sequence = within(0.0, 1e15)  # a trade's number within its product


class TradeRows:
    """Messages of the trade feed."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._trades = Trades(emit)
        self._replayed: dict[str, int] = {}  # product -> newest trade of the replay on this connection

    def trade(self, frame: dict[str, Any]) -> None:
        emit = self._emit
        listing = emit.listing(text(frame["product_id"]).upper())
        if listing is None:
            return
        kind = label(frame["type"], "type")
        if kind not in (*FORCED, *TAKEN, *LEFT_OUT):
            raise BadPayload("unknown_shape", f"trade of type {kind}"[:80])
        buys, contracts, each = is_buy(frame["side"]), coins(frame["qty"]), price(frame["price"])
        at, seq = timestamp_ms(frame["time"]), int(_sequence(frame["seq"]))
        if kind in LEFT_OUT or seq <= self._replayed.get(listing.instrument, -1):
            return
        amount = coins_in(emit, listing, contracts, each)
        if amount is None:
            return
        side: PositionSide = "short" if buys else "long"
        forced = (side,) if kind in FORCED else ()
        self._trades.tell([Print(listing, buys, traded(amount), each, at, str(seq), forced, kind in TAKEN)], False)

    def replay(self, frame: dict[str, Any]) -> None:
        listing = self._emit.listing(text(frame["product_id"]).upper())
        if listing is not None:
            self._emit.each(frame["trades"], "trades", self._replay, listing.instrument)

    def _replay(self, row: Any, name: str) -> None:
        seq = int(_sequence(mapping(row, "trades[]")["seq"]))
        self._replayed[name] = max(seq, self._replayed.get(name, seq))
