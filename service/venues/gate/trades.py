"""Gate: trades, liquidations and statistics.

Facts from the venue page: sizes are contracts; a trade's sign is the taker's side, `is_internal` marks what the
insurance fund or deleveraging took over. The sign of a liquidation is undocumented: it is read here as that of an
order, as of trades and as implementers do (negative: sold, so a long position was liquidated); the REST description
reads as the position's, so the direction is not certain. Until August 2026 one a second and contract was told:
liquidations are a lower bound. The WebSocket page swaps `lsr_taker` and `lsr_account`, the REST page is right.
Top traders' sizes (`top_long_size`, `top_short_size`, contracts) are in the statistics since April 2026 (API v4
changelog, 4.106.73).
"""

from __future__ import annotations

from typing import Any

from service.model import Listing, LongShortKind
from service.venues.emit import Emit, contract_coins
from service.venues.gate.metadata import either_ms, from_seconds
from service.venues.numbers import COINS_MAX, coins, number, price, within
from service.venues.reading import echo, flag, mapping, said
from service.venues.trades import Orders, Print, Trades, coins_in, traded

STATS = "contract_stats:"  # context of statistics: their rows do not name the contract
RATIO_MAX = 1e6
RATIOS: tuple[tuple[LongShortKind, str], ...] = (
    ("account", "lsr_account"),
    ("top_account", "top_lsr_account"),
    ("top_position", "top_lsr_size"),
)

_signed = within(-COINS_MAX, COINS_MAX)


class ExtraRows:
    """Rows of the extra streams, as their messages or answers bring them."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._trades = Trades(emit)
        self._orders = Orders(emit)

    def trades(self, rows: list[Any], sent_ms: int | None) -> None:
        prints: list[Print] = []
        unsized: dict[str, None] = {}
        self._emit.each(rows, "result", self._trade, prints, unsized)
        for name in unsized:
            self._emit.skipped(name, "unknown_contract_size")
        self._trades.tell(prints, False)

    def _trade(self, row: Any, prints: list[Print], unsized: dict[str, None]) -> None:
        fields = mapping(row, "result[]")
        listing = self._emit.listing(fields["contract"])
        internal = flag(fields.get("is_internal", False), "is_internal")
        if listing is None or internal:
            return
        contracts, each = _signed(fields["size"]), price(fields["price"])
        at = either_ms(fields["create_time_ms"]) if "create_time_ms" in fields else from_seconds(fields["create_time"])
        size, key = contract_coins(listing, each), echo(fields["id"])
        if size is None:
            unsized[listing.instrument] = None
        elif contracts != 0.0:  # 0: a fraction, for clients that do not ask for decimals
            prints.append(Print(listing, contracts > 0, traded(abs(contracts) * size), each, at, key))

    def liquidations(self, rows: list[Any], sent_ms: int | None) -> None:
        self._emit.each(rows, "result", self._liquidation, sent_ms)

    def _liquidation(self, row: Any, sent_ms: int | None) -> None:
        """One forced order, at its bankruptcy price. `time` was in seconds once, and may be missing."""
        fields = mapping(row, "result[]")
        listing = self._emit.listing(fields["contract"])
        if listing is None:
            return
        contracts, each = _signed(fields["size"]), price(fields["price"])
        at = either_ms(fields["time"]) if "time" in fields else sent_ms
        amount = coins_in(self._emit, listing, abs(contracts), each)
        if amount is not None:
            key = f"{listing.instrument} {at} {contracts} {each}"
            self._orders.tell(key, listing, "long" if contracts < 0 else "short", amount, each, True, at)

    # -- statistics --------------------------------------------------------------------------------------------

    def statistics(self, rows: list[Any], sent_ms: int | None) -> None:
        self._emit.each(rows, "result", self._named)

    def _named(self, row: Any) -> None:
        fields = mapping(row, "result[]")
        listing = self._emit.listing(fields["contract"])
        if listing is not None:
            self._statistic(listing, fields)

    def newest_statistic(self, rows: list[Any], name: str) -> None:
        """The answer to a request of ours for those of one contract."""
        listing = self._emit.listing(name)
        dated: list[tuple[int, dict[str, Any]]] = []
        self._emit.each(rows, "rows", lambda row: dated.append((either_ms(mapping(row, "row")["time"]), row)))
        if listing is not None and dated:
            self._statistic(listing, max(dated, key=lambda item: item[0])[1])

    def _statistic(self, listing: Listing, fields: dict[str, Any]) -> None:
        venue_ts = either_ms(fields["time"])
        for kind, key in RATIOS:
            if fields.get(key, "") != "":
                self._emit.guard(self._ratio, listing, kind, fields[key], venue_ts)
        self._emit.guard(self._top_traders, listing, fields, venue_ts)

    def _ratio(self, listing: Listing, kind: LongShortKind, ratio: Any, venue_ts: int) -> None:
        value = number(ratio, 0.0, RATIO_MAX)
        self._emit.long_short(listing, kind, value / (1 + value), venue_ts)

    def _top_traders(self, listing: Listing, fields: dict[str, Any], venue_ts: int) -> None:
        """Absolute sizes; those of an inverse contract are dollars at the statistics' own mark."""
        long, short = said(fields, "top_long_size", coins), said(fields, "top_short_size", coins)
        if long is None or short is None:
            return
        size = contract_coins(listing, price(fields["mark_price"])) if listing.inverse else listing.contract_size
        if size is None:
            self._emit.skipped(listing.instrument, "unknown_contract_size")
        else:
            self._emit.positions(listing, long * size, short * size, venue_ts)
