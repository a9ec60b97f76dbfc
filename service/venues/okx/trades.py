"""OKX: trades, liquidations and the long/short ratio of accounts.

Facts from the venue page. `trades`: `side` is the taker's, `sz` counts contracts, rows are whole taker fills and count
all. `liquidation-orders`, one topic for all swaps: `side` is that of the order, so sell closed a long; `bkPx` is the
bankruptcy price; it is not complete (hence a lower bound), not in order of time, and after subscribing a backlog may
come: what is older than the subscription is dropped, and so is what was told before. Ratios are REST
`/api/v5/rubik/stat/contracts/long-short-account-ratio-contract`, and those of the top 5 % of traders (API guide,
"Get top traders contract long/short ratio", and "... (by position)"): rows [time, longs/shorts], newest first, each
5 requests in 2 s by address and instrument.
"""

from __future__ import annotations

from typing import Any

from service.errors import BadPayload
from service.model import Listing, LongShortKind, PositionSide
from service.venues.emit import Emit
from service.venues.numbers import coins, number, price, timestamp_ms
from service.venues.okx.metadata import swap_of
from service.venues.reading import is_buy, items, label, mapping, said
from service.venues.symbols import canonical_price
from service.venues.trades import Orders, Print, Trades, trade_id, traded

TRADES = "trades"
LIQUIDATIONS = "liquidation-orders"
RATIO = "long_short:"  # context of a poll, before kind and instrument
KINDS: dict[str, LongShortKind] = {kind: kind for kind in ("account", "top_account", "top_position")}
RATIO_MAX = 1e6


class ExtraRows:
    """Rows of the extra streams."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._trades = Trades(emit)
        self._orders = Orders(emit)

    def trades(self, rows: Any) -> None:
        """All trades of a message; of those whose contracts have no known size it is said once an instrument."""
        prints: list[Print] = []
        sizeless: dict[str, Listing] = {}
        self._emit.each(rows, "data", self._trade, prints, sizeless)
        for listing in sizeless.values():
            skip_sizeless(listing, self._emit)
        self._trades.tell(prints, False)

    def _trade(self, row: Any, prints: list[Print], sizeless: dict[str, Listing]) -> None:
        listing = swap_of(row, self._emit)
        if listing is None:
            return
        buys, each, contracts = is_buy(row["side"]), price(row["px"]), coins(row["sz"])
        at, key = timestamp_ms(row["ts"]), trade_id(row, "tradeId")
        amount = self._coins(listing, contracts, each)
        if amount is None:
            sizeless[listing.instrument] = listing
        else:
            prints.append(Print(listing, buys, traded(amount), each, at, key))

    def subscribed(self) -> None:
        """To liquidations: what is older is a backlog."""
        self._trades.begin(LIQUIDATIONS)

    def liquidation(self, listing: Listing, row: dict[str, Any]) -> None:
        self._emit.each(row["details"], "details", self._forced, listing)

    def _forced(self, detail: Any, listing: Listing) -> None:
        fields = mapping(detail, "details[]")
        bought, contracts, at = is_buy(fields["side"]), coins(fields["sz"]), timestamp_ms(fields["ts"])
        each = said(fields, "bkPx", price)
        key = f"{listing.instrument} {at} {bought} {label(fields.get('posSide', ''), 'posSide')} {contracts} {each}"
        if at < self._trades.begun(LIQUIDATIONS):
            return
        amount = self._coins(listing, contracts, each)
        if amount is None:
            skip_sizeless(listing, self._emit)
        else:
            side: PositionSide = "short" if bought else "long"
            self._orders.tell(key, listing, side, amount, each, True, at)

    def _coins(self, listing: Listing, contracts: float, each: float | None) -> float | None:
        """Canonical coins in so many contracts; for inverse ones at ``each`` per venue unit, else at the mark."""
        size = listing.contract_size
        if size is None or not listing.inverse:
            return None if size is None else contracts * size
        marks, multiplier = self._emit.catalog.marks, listing.multiplier
        at = marks.get(listing.instrument) if each is None else canonical_price(each, multiplier)
        return None if at is None else contracts * size / at

    def ratio(self, rows: list[Any], subject: str) -> None:
        """The newest row that can be read, of the kind and instrument asked for."""
        asked, _, name = subject.partition(":")
        kind = KINDS.get(asked)
        if kind is None:
            raise BadPayload("unknown_shape", f"ratio of {asked}"[:80])
        listing = self._emit.listing(name)
        if listing is None:
            return
        found: list[tuple[int, float]] = []
        self._emit.each(rows, "data", _ratio_row, found)
        if found:
            at, ratio = max(found)
            self._emit.long_short(listing, kind, ratio / (1 + ratio), at)


def _ratio_row(row: Any, found: list[tuple[int, float]]) -> None:
    fields = items(row, "row")
    if len(fields) < 2:
        raise BadPayload("missing_field", "ratio")
    found.append((timestamp_ms(fields[0]), number(fields[1], 0.0, RATIO_MAX)))


def skip_sizeless(listing: Listing, emit: Emit) -> None:
    """Say why contracts cannot be converted to coins."""
    emit.skipped(listing.instrument, "unknown_contract_size" if listing.contract_size is None else "no_mark")
