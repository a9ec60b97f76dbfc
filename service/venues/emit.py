"""What one frame says: observations in canonical units, listings, refusals. Handed to every venue's decoder. Pure.

A broken frame becomes one :class:`Bad`; a broken row costs that row; a broken field costs its stream's observation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from msgspec.structs import replace
from orjson import JSONDecodeError, loads

from service.errors import BadPayload
from service.formulas import rate_8h
from service.model import (
    Bad,
    Confirm,
    Control,
    Decoded,
    Flow,
    Funding,
    HistoryPoint,
    Liquidation,
    Listing,
    LongShort,
    LongShortKind,
    Mark,
    OiSides,
    OpenInterest,
    Positions,
    PositionSide,
    Skipped,
    Stream,
)
from service.venues.coins import why_no_coin
from service.venues.contract import Catalog, page_of
from service.venues.numbers import COINS_MAX, number, price, text
from service.venues.reading import document, items
from service.venues.sides import measure
from service.venues.symbols import assets_at, canonical_price, why_foreign

PONG = Control("pong", None, "pong")
HOUR_MS = 3_600_000
SCHEDULE_SLACK_MS = 600_000  # a settlement further away than its period is long, and this: the interval is in doubt


def contract_coins(listing: Listing, at: float) -> float | None:
    """Canonical coins per contract at ``at``, a price per venue unit; None where the contract's size is not known."""
    size = listing.contract_size
    return size / canonical_price(at, listing.multiplier) if size is not None and listing.inverse else size


def _epoch_ms(day: date) -> int:
    """The first moment of a UTC day."""
    return int(datetime.combine(day, time(), UTC).timestamp()) * 1000


def beyond(interval_h: float | None, next_ts: int | None, venue_ts: int | None) -> bool:
    """Whether the next settlement is further away than a whole period is long: then that is not the period's length."""
    if interval_h is None or next_ts is None or venue_ts is None:
        return False
    return next_ts - venue_ts > interval_h * HOUR_MS + SCHEDULE_SLACK_MS


class Emit:
    """The items of the frame under way, in order: ``out``. One object per connection; frames come one at a time.

    ``catalog``: what the venue's connections share. ``by_name``: what a name alone says of an instrument without
    metadata; None: no perpetual quoted in dollars. ``read``: takes a frame's JSON and its context, and tells all of it
    here. ``recv_ts``: when the frame was received, UTC epoch ms.
    Prices come per venue unit, amounts in canonical coins; ``venue_ts`` None: the venue does not say when.
    """

    __slots__ = ("_assets", "_by_name", "_listings", "_marks", "_named", "_read", "catalog", "out", "recv_ts", "venue")

    def __init__(
        self,
        venue: str,
        catalog: Catalog,
        by_name: Callable[[str], Listing | None],
        read: Callable[[Any, str], None],
    ) -> None:
        self.venue = venue
        self.catalog = catalog
        self.out: list[Decoded] = []
        self.recv_ts = 0
        self._by_name = by_name
        self._read = read
        self._listings = catalog.listings
        self._marks = catalog.marks
        self._named: list[str] = []  # instruments of which the frame under way holds a row of metadata
        self._assets = assets_at(venue, catalog.assets)

    # -- frames and their parts -------------------------------------------------------------------------------

    def frame(self, raw: str | bytes, recv_ts: int, context: str = "") -> list[Decoded]:
        """All items of one frame, see :meth:`service.venues.contract.Decoder.decode`. Never raises for bad input."""
        self.recv_ts = recv_ts
        out: list[Decoded] = []
        self.out = out
        if self._named:
            self._named = []
        try:
            parsed = loads(raw)
        except JSONDecodeError:
            self._no_json(raw)
            return out
        try:
            self._read(parsed, context)
        except (BadPayload, KeyError) as error:
            self.bad(error)
        return out

    def _no_json(self, raw: str | bytes) -> None:
        """Text keep-alives are no JSON on purpose."""
        word = raw if isinstance(raw, str) else raw[:5].decode("latin-1")
        if word == "pong":
            self.out.append(PONG)
        elif word != "ping":
            self.guard(document, raw)

    def guard(self, handler: Callable[..., object], *arguments: Any) -> bool:
        """Run ``handler`` for one row or stream; False when it was refused, which leaves one :class:`Bad`."""
        try:
            handler(*arguments)
        except (BadPayload, KeyError) as error:
            self.bad(error)
            return False
        return True

    def each(self, rows: Any, what: str, handler: Callable[..., object], *arguments: Any) -> None:
        """``handler(row, *arguments)`` for every row of an array (called ``what``): a broken row costs itself."""
        for row in items(rows, what):
            try:
                handler(row, *arguments)
            except (BadPayload, KeyError) as error:
                self.bad(error)

    def bad(self, error: BadPayload | KeyError) -> None:
        """What cannot be trusted. A KeyError is a field that is missing, see :mod:`service.venues.reading`."""
        if isinstance(error, BadPayload):
            self.out.append(Bad(error.reason, error.detail))
        else:
            self.out.append(Bad("missing_field", str(error.args[0])[:80]))

    def control(
        self, kind: Literal["ack", "pong", "info", "refused", "closing", "more"], key: str | None, said: str
    ) -> None:
        self.out.append(Control(kind, key, said))

    def skipped(self, instrument: str, reason: str) -> None:
        """A row left out on purpose."""
        self.out.append(Skipped(self.venue, instrument, reason))

    # -- instruments ------------------------------------------------------------------------------------------

    def listing(self, name: Any) -> Listing | None:
        """The instrument behind a name, from metadata or from the name; None, and said so, for foreign products.

        Raises :exc:`BadPayload` for what is no name.
        """
        if type(name) is str:
            listing = self._listings.get(name)
            if listing is not None:
                return listing
        found = self.find(text(name))
        if found is None:
            self.skipped(name, self.catalog.foreign.get(name) or why_foreign(name))
        return found

    def find(self, name: str) -> Listing | None:
        """The same of a name that the venue did not send itself: nothing is said of one that there is not."""
        listing = self._listings.get(name)
        if listing is None and name not in self.catalog.foreign:
            listing = self._by_name(name)
            return None if listing is None else self._identified(listing)
        return listing

    def named(self, name: str) -> str:
        """A row of metadata is about this instrument, whatever else it says: it is not absent from the list."""
        self._named.append(name)
        return name

    def instrument(
        self, name: str, row: Any, terms: Callable[[str, Any], Listing | str], trades: Callable[[Any], bool]
    ) -> None:
        """One row of metadata. ``terms``: what it says of the instrument, or why that is no perpetual of a coin in
        dollars; ``trades``: whether it is open.

        Before a launch and after the end a row's terms may be empty or 0: what does not trade is then left out quietly.
        Raises BadPayload and KeyError for the terms of what trades; what is known of it still holds.
        """
        self.named(name)
        try:
            found = terms(name, row)
        except (BadPayload, KeyError):
            if trades(row):
                raise
            known = self.find(name)
            if known is not None and known.trading:
                self.relisted(replace(known, trading=False, recv_ts=self.recv_ts))
            return
        if isinstance(found, str):
            self.refuse(name, found)
        else:
            self.listed(found)

    def listed(self, listing: Listing) -> None:
        """What metadata says of an instrument, under the ticker of the venue."""
        self.relisted(self._identified(listing))

    def relisted(self, listing: Listing) -> None:
        """The same of a listing that has its canonical name already."""
        self.named(listing.instrument)
        known = self._listings.get(listing.instrument)
        if known is not None and known.symbol != listing.symbol:  # it would count for both, its mark in either unit
            self.delist(listing.instrument)
            self._marks.pop(listing.instrument, None)
        self._listings[listing.instrument] = listing
        self.catalog.foreign.pop(listing.instrument, None)
        self.out.append(listing)

    def _identified(self, listing: Listing) -> Listing:
        """Under the canonical name of its asset, in its units (:data:`service.venues.symbols.ASSETS`). A ticker keeps
        its name until it means the asset; frames without a receive time are taken for new."""
        asset = self._assets.get(listing.symbol)
        if asset is None:
            return listing
        if asset.since is not None and 0 < self.recv_ts < _epoch_ms(asset.since):
            return listing
        size, factor = listing.contract_size, asset.factor
        if size is not None and not listing.inverse:  # coins; of inverse contracts it is dollars
            size *= factor
        multiplier = listing.multiplier * factor
        return replace(listing, symbol=asset.canonical, multiplier=multiplier, contract_size=size)

    def why_no_coin(self, symbol: str) -> str | None:
        """Of a venue whose metadata do not tell coins from stocks: why an instrument is left out; None: a coin.
        ``symbol``: by its name, before the table of assets is asked."""
        return why_no_coin(symbol, self._assets)

    def refuse(self, name: str, reason: str = "") -> None:
        """Metadata says the name is foreign, and why ("": see the name); if we had it listed, it no longer trades and
        is forgotten."""
        self.named(name)
        reason = reason or why_foreign(name)
        self.catalog.foreign[name] = reason
        self.delist(name)
        self._listings.pop(name, None)
        self.skipped(name, reason)

    def delist_absent(
        self, context: str, more: str = "", among: Callable[[Listing], bool] = lambda listing: True
    ) -> None:
        """After each page of a list of all instruments that ``among`` accepts: those that the whole list does not name
        have been delisted. ``context``: the request's; ``more``: where the next page begins, "" after the last.

        A row that could not be read still names its instrument. Nobody is delisted by a list that names nothing, or of
        which a page is missing: absence would prove nothing.
        """
        asked, begins = page_of(context)
        pages = self.catalog.named
        named = pages.pop(asked, None) if begins else set()
        if named is None:
            return  # its first page never came
        if begins and self._named and named.issuperset(self._named):
            self.control("more", None, begins)  # the same page again: whoever asks will see that it has no end
            return
        named.update(self._named)
        if more:
            pages[asked] = named
            self.control("more", None, more)
        elif named:
            for name, listing in self._listings.items():
                if name not in named and among(listing):
                    self.delist(name)

    def delist(self, name: str) -> None:
        """The instrument no longer trades."""
        known = self._listings.get(name)
        if known is not None and known.trading:
            gone = replace(known, trading=False, recv_ts=self.recv_ts)
            self._listings[name] = gone
            self.out.append(gone)

    # -- mark, funding, open interest --------------------------------------------------------------------------

    def index_in(self, row: dict[str, Any], key: str) -> float | None:
        """The index beside a mark, per venue unit; None for "" and for what cannot be trusted, which costs itself: the
        mark beside it counts. Raises nothing."""
        try:
            return None if row[key] == "" else price(row[key])
        except (BadPayload, KeyError) as error:
            self.bad(error)
            return None

    def mark(self, listing: Listing, mark: float | None, index: float | None, venue_ts: int | None) -> None:
        multiplier = listing.multiplier
        if multiplier != 1.0:
            mark = None if mark is None else canonical_price(mark, multiplier)
            index = None if index is None else canonical_price(index, multiplier)
        if mark is not None:
            self._marks[listing.instrument] = mark
        self.out.append(Mark(self.venue, listing.instrument, listing.symbol, mark, index, venue_ts, self.recv_ts))

    def funding(
        self,
        listing: Listing,
        rate: float,
        interval_h: float | None,
        next_ts: int | None,
        venue_ts: int | None,
        settled: bool = False,
        per_time: bool = False,
    ) -> None:
        """``rate``: a fraction per ``interval_h``, which must reach from ``venue_ts`` to ``next_ts`` to be believed,
        unless the venue states rates ``per_time`` however long its periods are."""
        if not per_time and beyond(interval_h, next_ts, venue_ts):
            interval_h = None
            self.catalog.measured_h[listing.instrument] = None  # in doubt until a settlement, however near it comes
        per_8h = rate if interval_h == 8.0 else rate_8h(rate, interval_h)  # most rates, without a call
        name, symbol, recv_ts = listing.instrument, listing.symbol, self.recv_ts
        self.out.append(
            Funding(self.venue, name, symbol, rate, interval_h, per_8h, next_ts, settled, venue_ts, recv_ts)
        )

    def open_interest(
        self,
        listing: Listing,
        contracts: float,
        contract_coins: float,
        coins: float,
        derived: bool,
        venue_ts: int | None,
    ) -> None:
        """See :class:`OpenInterest`."""
        if not (0.0 <= contract_coins <= COINS_MAX and 0.0 <= coins <= COINS_MAX):
            number(contract_coins, 0.0, COINS_MAX)
            number(coins, 0.0, COINS_MAX)
        name, symbol = listing.instrument, listing.symbol
        self.out.append(
            OpenInterest(self.venue, name, symbol, contracts, contract_coins, coins, derived, venue_ts, self.recv_ts)
        )

    def contracts(
        self, listing: Listing, contracts: float, mark: float | None, venue_ts: int | None, halved: bool = False
    ) -> None:
        """Open interest in contracts of coins, or of dollars (inverse) at ``mark``, a price per venue unit. ``halved``:
        the venue's figure counts both sides."""
        size = listing.contract_size if mark is None else contract_coins(listing, mark)
        if size is None or (listing.inverse and mark is None):
            self.skipped(listing.instrument, "unknown_contract_size" if size is None else "no_mark")
        else:
            self.open_interest(listing, contracts, size, contracts * size, listing.inverse or halved, venue_ts)

    def sides(self, figures: Iterable[tuple[float, float]]) -> None:
        """Two figures of open interest per instrument: ours, and one that counts one side. What ours counts is told,
        and in force from here on; where it is neither one side nor two, what was in force stays."""
        found = measure(figures)
        if found is None:
            return
        sides, ratio, compared, agreeing = found
        if sides is not None:
            self.catalog.oi_sides = sides
        self.out.append(OiSides(self.venue, sides, ratio, compared, agreeing, self.recv_ts))

    def confirm(self, listing: Listing, streams: tuple[Stream, ...], venue_ts: int | None) -> None:
        """The venue vouches again for what it said last on these streams."""
        self.out.append(Confirm(*self._whose(listing), streams, venue_ts, self.recv_ts))

    # -- extra streams ----------------------------------------------------------------------------------------

    def liquidation(
        self,
        listing: Listing,
        side: PositionSide,
        coins: float,
        price: float | None,
        lower_bound: bool,
        venue_ts: int | None,
    ) -> None:
        """Raises BadPayload for nothing liquidated."""
        number(coins, 0.0, COINS_MAX)
        if coins == 0.0:
            raise BadPayload("out_of_bounds", "liquidation of nothing")
        if price is not None:
            price = canonical_price(price, listing.multiplier)
        whose = self._whose(listing)
        self.out.append(Liquidation(*whose, side, coins, price, lower_bound, venue_ts, self.recv_ts))

    def flow(self, listing: Listing, buy_coins: float, sell_coins: float, venue_ts: int | None) -> None:
        """Taker volume of one frame, unless its trades add up to nothing."""
        number(buy_coins, 0.0, COINS_MAX)
        number(sell_coins, 0.0, COINS_MAX)
        if buy_coins != 0.0 or sell_coins != 0.0:
            self.out.append(Flow(*self._whose(listing), buy_coins, sell_coins, venue_ts, self.recv_ts))

    def positions(self, listing: Listing, long_coins: float, short_coins: float, venue_ts: int | None) -> None:
        number(long_coins, 0.0, COINS_MAX)
        number(short_coins, 0.0, COINS_MAX)
        self.out.append(Positions(*self._whose(listing), long_coins, short_coins, venue_ts, self.recv_ts))

    def long_short(self, listing: Listing, kind: LongShortKind, long_share: float, venue_ts: int | None) -> None:
        number(long_share, 0.0, 1.0)
        self.out.append(LongShort(*self._whose(listing), kind, long_share, venue_ts, self.recv_ts))

    def history_point(
        self,
        listing: Listing,
        stream: Literal["mark", "index", "oi", "funding"],
        ts: int,
        value: float,
        hold_ms: int,
        interval_h: float | None = None,
    ) -> None:
        """A point of the published past. Open interest comes as the native one-sided count."""
        if stream in ("mark", "index"):
            value = canonical_price(value, listing.multiplier)
        self.out.append(HistoryPoint(*self._whose(listing), stream, ts, value, interval_h, hold_ms))

    def _whose(self, listing: Listing) -> tuple[str, str, str]:
        return self.venue, listing.instrument, listing.symbol
