"""Binance, both products, and Aster: liquidations (`!forceOrder@arr`), trades (`<symbol>@aggTrade`), ratios.

Facts from the venue pages. `forceOrder`: `S` is the side of the order, so SELL closed a long; at most one order per
symbol and second is sent, so it is always a lower bound; silence is normal. An order has no id, and `T` is the time of
its last fill, `z` all that was filled by then: see :meth:`ExtraRows.forced_order`. `aggTrade`: `m` (the buyer is the
maker) means the taker sold; insurance-fund and auto-deleveraging fills are not in it, and in `@trade`, which is not
subscribed to but read, they carry an `X` other than MARKET. Nothing is sent again on subscribing. Times are not quite
in order of `a`. Amounts are coins on USD-M, contracts on COIN-M, whose coins follow from the price of the trade.
`!forceOrder@arr` brings the orders of both products on either host. `nq` of an aggTrade is what was traded without
retail orders (RPI); `q`, all of it, is what is read.
Aster: only orders with an `X` of FILLED are told, whatever was filled of the others.
Ratios: `GET /futures/data/{globalLongShortAccountRatio,topLongShortAccountRatio,topLongShortPositionRatio}`.
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import LongShortKind, PositionSide
from service.venues.binance.metadata import ASTER, listing_of, statistics_name
from service.venues.emit import Emit
from service.venues.numbers import coins, long_share, price, timestamp_ms
from service.venues.reading import flag, is_buy, mapping
from service.venues.trades import Orders, Print, Trades, coins_in, traded

FILLING_MS = 10_000  # the fills of one order: it is immediate-or-cancel
TRADE_IDS = {"aggTrade": "a", "trade": "t"}
RATIO = "long_short:"  # context, with the kind: the rows of different endpoints look the same
KINDS: dict[str, LongShortKind] = {kind: kind for kind in ("account", "top_account", "top_position")}


class ExtraRows:
    """Events and rows of the extra streams."""

    def __init__(self, emit: Emit, coinm: bool) -> None:
        self._emit = emit
        self._coinm = coinm
        self._trades = Trades(emit)
        self._orders = Orders(emit)

    def forced_order(self, row: dict[str, Any]) -> None:
        """`z` of it was filled, at `ap` on average; `q` and `p` are only what was ordered.

        Orders alike in side, `q` and `p` are one order as long as something of it is open and little time has passed:
        then only what was filled since is told. What comes again, or comes late from another socket, is not.
        """
        order = mapping(row["o"], "o")
        listing = listing_of(order["s"], row.get("st", order.get("st")), self._emit, self._coinm)
        if listing is None or (self._emit.venue == ASTER and order["X"] != "FILLED"):
            return
        bought = is_buy(order["S"])
        filled, ordered, venue_ts = coins(order["z"]), coins(order["q"]), timestamp_ms(order["T"])
        if filled == 0.0:
            return  # nothing liquidated yet
        average = price(order["ap"])
        key = f"{listing.instrument} {bought} {ordered} {price(order['p'])}"
        more = filled
        told = self._orders.known.get(key)
        if told is not None:
            at, before = told
            assert at is not None
            if venue_ts == at or (venue_ts > at and before < ordered and venue_ts - at <= FILLING_MS):
                more = filled - before
            if venue_ts < at or more <= 0.0:
                return
        amount = coins_in(self._emit, listing, more, average)
        if amount is not None:
            side: PositionSide = "short" if bought else "long"
            self._emit.liquidation(listing, side, amount, average, True, venue_ts)
            self._orders.told(key, venue_ts, filled)

    def trade(self, row: dict[str, Any]) -> None:
        listing = listing_of(row["s"], row.get("st"), self._emit, self._coinm)
        if listing is None or row.get("X", "MARKET") != "MARKET":
            return
        id_key = TRADE_IDS[row["e"]]
        taker_sold, number, at = row["m"], row.get(id_key), timestamp_ms(row["T"])
        flag(taker_sold, "m")
        if type(number) is not int and id_key in row:
            raise BadPayload("wrong_type", f"{id_key}: {type(number).__name__} where a number belongs")
        each = price(row["p"])
        amount = coins_in(self._emit, listing, coins(row["q"]), each)
        if amount is not None and amount != 0.0:
            key = "" if number is None else str(number)
            self._trades.tell([Print(listing, not taker_sold, traded(amount), each, at, key)], False)

    def ratios(self, rows: list[Any], kind: str) -> None:
        """The answer to a request of ours for ratios of this kind."""
        known = KINDS.get(kind)
        if known is None:
            raise BadPayload("unknown_shape", f"ratio of {kind}"[:80])
        self._emit.each(rows, "ratios", self.ratio, known)

    def ratio(self, row: Any, kind: LongShortKind) -> None:
        """Shares of accounts or positions. USD-M names both `longAccount`, COIN-M the latter `longPosition`."""
        fields = mapping(row, "row")
        listing = self._emit.listing(statistics_name(fields, self._coinm))
        if listing is None:
            return
        what = "Position" if "longPosition" in fields else "Account"
        share = long_share(fields[f"long{what}"], fields[f"short{what}"])
        self._emit.long_short(listing, kind, share, timestamp_ms(fields["timestamp"]))
