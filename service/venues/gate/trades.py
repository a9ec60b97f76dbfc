"""Gate: trades, liquidations and statistics.

Facts from the venue page: sizes are contracts; a trade's sign is the taker's side, `is_internal` marks what the
insurance fund or deleveraging took over. Liquidations: the HTTP list has the position (`size`, + long), the forced
order (`order_size`) and what of it is unfilled (`left`), in seconds. The socket has one size of undocumented sign: it
is matched with the list by contract, second and size, and counts once twenty matches say the same; the list is told
until then. The WebSocket page swaps `lsr_taker` and `lsr_account`, the REST page is right.
Top traders' sizes (`top_long_size`, `top_short_size`, contracts) are in the statistics since April 2026 (API v4
changelog, 4.106.73).
"""

from __future__ import annotations

from collections import deque
from typing import Any

from service.errors import BadPayload
from service.model import Listing, LongShortKind
from service.venues.emit import Emit, contract_coins
from service.venues.gate.metadata import either_ms, from_seconds
from service.venues.numbers import COINS_MAX, coins, number, price, within
from service.venues.reading import echo, flag, mapping, said
from service.venues.trades import Orders, Print, Trades, coins_in, traded

FORCED = "liq_orders:"  # context of the list of forced orders
FORCED_A_PAGE = 1000
FORCED_PAST_MS = 60_000  # older ones are history
STATS = "contract_stats:"  # context of statistics: their rows do not name the contract
SIGNS_KEPT = 4096  # liquidations that wait for their match
SIGNS_NEEDED = 20  # matches before the sign is known
SIGNS_SHARE = 0.95  # of them that must agree
VOTES_KEPT = 40
RATIO_MAX = 1e6
RATIOS: tuple[tuple[LongShortKind, str], ...] = (
    ("account", "lsr_account"),
    ("top_account", "top_lsr_account"),
    ("top_position", "top_lsr_size"),
)

_signed = within(-COINS_MAX, COINS_MAX)


class Signs:
    """What the sign of the socket's liquidations means, by the list that says it: matched by contract, second and size.

    One object for all connections. ``sign``: 1, that of the position; -1, that of the order; None: not known (yet).
    Liquidations count from the socket while it is known, else from the list; ``since_s``: Unix second after which that
    holds, so that none counts twice or not at all when it changes.
    """

    def __init__(self) -> None:
        self.sign: int | None = None
        self.since_s = -1
        self.votes: deque[int] = deque(maxlen=VOTES_KEPT)  # of the latest matches; 0: the socket told of the position
        self.lists: set[str] = set()  # that have been read before
        self._heard: dict[tuple[str, int, float], int] = {}  # instrument, second, size -> sign

    def by_list(self, at: int) -> bool:
        """Whether it is the list that tells of what was liquidated at ``at``, UTC ms."""
        return (self.sign is None) is (at // 1000 > self.since_s)

    def heard(self, instrument: str, contracts: float, at: int) -> int | None:
        """A socket's order, ``contracts`` != 0 signed. Returns ``sign``, None where the list tells of it."""
        self._heard[instrument, at // 1000, abs(contracts)] = 1 if contracts > 0 else -1
        if len(self._heard) > SIGNS_KEPT:
            del self._heard[next(iter(self._heard))]
        return None if self.by_list(at) else self.sign

    def compare(self, instrument: str, position: float, order: float, at: int, recv_ts: int) -> None:
        """The same order in the list: signed size of the position and of the order."""
        second, size, held = at // 1000, abs(order), abs(position)
        found = self._heard.pop((instrument, second, size), None)
        if found is not None:
            self.votes.append(found if position > 0 else -found)
        elif held != size and self._heard.pop((instrument, second, held), None) is not None:
            self.votes.append(0)  # its sizes are no amounts
        else:
            return
        votes = len(self.votes)
        best = max((1, -1), key=self.votes.count)
        agreeing = self.votes.count(best) >= SIGNS_SHARE * votes
        if not agreeing and self.sign is not None:
            self.votes.clear()  # what is said now must be measured anew
            self._decide(None, recv_ts)
        elif agreeing and votes >= SIGNS_NEEDED:
            self._decide(best, recv_ts)

    def _decide(self, sign: int | None, recv_ts: int) -> None:
        if (sign is None) is not (self.sign is None):
            self.since_s = recv_ts // 1000
        self.sign = sign


class ExtraRows:
    """Rows of the extra streams, as their messages or answers bring them."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._trades = Trades(emit)
        self._orders = Orders(emit)
        self._signs = emit.catalog.shared(Signs)

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

    # -- liquidations ------------------------------------------------------------------------------------------

    def liquidations(self, rows: list[Any], sent_ms: int | None) -> None:
        self._emit.each(rows, "result", self._liquidation, sent_ms)

    def _liquidation(self, row: Any, sent_ms: int | None) -> None:
        """One forced order of a socket. It counts once its sign is known; until then the HTTP answers are told.
        `time` was in seconds once, and may be missing."""
        fields = mapping(row, "result[]")
        listing = self._emit.listing(fields["contract"])
        if listing is None:
            return
        contracts, each = _signed(fields["size"]), price(fields["price"])
        if contracts == 0.0:
            raise BadPayload("out_of_bounds", "liquidation of nothing")
        at = either_ms(fields["time"]) if "time" in fields else sent_ms
        sign = None if at is None else self._signs.heard(listing.instrument, contracts, at)
        if sign is None:
            self._emit.skipped(listing.instrument, "unknown_side")
            return
        amount = coins_in(self._emit, listing, abs(contracts), each)
        if amount is not None:
            key = f"{listing.instrument} {at} {contracts} {each}"
            self._orders.tell(key, listing, "long" if contracts * sign > 0 else "short", amount, each, True, at)

    def forced(self, rows: list[Any], context: str) -> None:
        """An answer with forced orders of all contracts: told where the socket's sign is not known, and the measure of
        that sign. What was filled is `order_size` less `left`; `size` is the position before it, + of a long.

        A process's first answer is of before its start: the process before may have told of it.
        """
        news = not context or context in self._signs.lists
        self._signs.lists.add(context)
        alike: dict[str, int] = {}
        self._emit.each(rows, "rows", self._forced, alike, news, len(rows) >= FORCED_A_PAGE)

    def _forced(self, row: Any, alike: dict[str, int], news: bool, lower_bound: bool) -> None:
        emit, fields = self._emit, mapping(row, "row")
        listing = emit.listing(fields["contract"])
        at = either_ms(fields["time"])
        if listing is None or 0 < at < emit.recv_ts - FORCED_PAST_MS:
            return
        position, order, left = _signed(fields["size"]), _signed(fields["order_size"]), said(fields, "left", _signed)
        filled = abs(order) - abs(left or 0.0)
        if position == 0.0 or filled < 0.0:
            raise BadPayload("out_of_bounds", f"position {position:g}, order {order:g}, left {left or 0.0:g}")
        row_key = f"{listing.instrument} {at} {position} {order}"
        alike[row_key] = alike.get(row_key, 0) + 1  # rows have no id: the same twice in one answer are two
        key = f"{row_key} {alike[row_key]}"
        before = self._orders.known.get(key)
        more = filled - (0.0 if before is None else before[1])  # an order may go on being filled
        if more > 0.0 and news and self._signs.by_list(at):
            each = price(fields["fill_price"])
            amount = coins_in(emit, listing, more, each)
            if amount is None:
                return
            emit.liquidation(listing, "long" if position > 0 else "short", amount, each, lower_bound, at)
        self._orders.told(key, at, max(filled, 0.0 if before is None else before[1]))
        if before is None:
            self._signs.compare(listing.instrument, position, order, at, emit.recv_ts)

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
