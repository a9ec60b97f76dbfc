"""What every venue decoder shares: JSON in, guarded rows, observations out in canonical units.

A broken frame becomes one :class:`Bad`; a broken row costs that row; a broken field costs its stream's observation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import orjson

from service.errors import BadPayload
from service.formulas import rate_8h
from service.model import (
    Bad,
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
    OpenInterest,
    Positions,
    PositionSide,
    Skipped,
)
from service.venues.contract import Catalog
from service.venues.numbers import COINS_MAX, number, rate, text, timestamp_ms
from service.venues.symbols import canonical_price

HOUR_MS = 3_600_000
SPACING_SLACK_MS = 60_000  # settlements are stamped up to some seconds after the hour
BAD_REASONS = (
    "bad_json",
    "wrong_type",
    "missing_field",
    "bad_number",
    "out_of_bounds",
    "bad_name",
    "too_deep",
    "unknown_shape",
    "size_mismatch",
    "oversized",
)
PONG = Control("pong", None, "pong")


def document(raw: str | bytes) -> Any:
    """The parsed JSON text. Raises :exc:`BadPayload` (``bad_json``, ``too_deep``)."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        reason = "too_deep" if error.msg.startswith("depth limit") else "bad_json"
        raise BadPayload(reason, error.msg[:80]) from None


def need(row: dict[str, Any], key: str) -> Any:
    """A field that must be there (null counts as there: its type will be refused)."""
    try:
        return row[key]
    except KeyError:
        raise BadPayload("missing_field", key) from None


def mapping(value: Any, what: str) -> dict[str, Any]:
    """A JSON object."""
    if type(value) is not dict:
        raise BadPayload("wrong_type", f"{what}: {type(value).__name__} where an object belongs")
    return value


def items(value: Any, what: str) -> list[Any]:
    """A JSON array."""
    if type(value) is not list:
        raise BadPayload("wrong_type", f"{what}: {type(value).__name__} where an array belongs")
    return value


def label(value: Any, what: str) -> str:
    """Any short string, the empty one included (states, kinds)."""
    if type(value) is not str:
        raise BadPayload("wrong_type", f"{what}: {type(value).__name__} where text belongs")
    return value[:64]


def echo(value: Any) -> str:
    """A venue's free text for a log line, bounded."""
    return str(value)[:200] if isinstance(value, str | int) else ""


def said(fields: dict[str, Any], key: str, parse: Callable[[Any], float]) -> float | None:
    """A field's value; None where it is absent or empty: unknown, never 0."""
    raw = fields.get(key, "")
    return None if raw == "" else parse(raw)


def readable(fields: dict[str, Any], key: str, parse: Callable[[Any], float]) -> float | None:
    """The same of a field that is told by another stream, which also says what is wrong with it."""
    try:
        return said(fields, key, parse)
    except BadPayload:
        return None


def contract_coins(listing: Listing, at: float) -> float | None:
    """Canonical coins per contract at ``at``, a price per venue unit; None where the contract's size is not known."""
    size = listing.contract_size
    return size / canonical_price(at, listing.multiplier) if size is not None and listing.inverse else size


def guarded(out: list[Decoded], build: Callable[..., None], *arguments: Any) -> bool:
    """Run ``build`` for one row or stream; False when it was refused, which leaves one :class:`Bad` in ``out``."""
    try:
        build(*arguments)
    except BadPayload as error:
        out.append(Bad(error.reason, error.detail))
        return False
    return True


def spacings_h(times: Sequence[int], allowed: Sequence[int]) -> dict[int, float | None]:
    """Funding interval per settlement time: whole hours since the settlement before it, if that is an allowed interval.

    The first takes the spacing to the second. None where the spacing is not an allowed interval.
    """
    ordered = sorted(dict.fromkeys(times))
    result: dict[int, float | None] = {}
    for before, after in pairwise(ordered):
        hours = round((after - before) / HOUR_MS)
        whole = hours in allowed and abs(after - before - hours * HOUR_MS) <= SPACING_SLACK_MS
        result[after] = float(hours) if whole else None
    if len(ordered) > 1:
        result[ordered[0]] = result[ordered[1]]
    return result


class FrameReader:
    """Base of the venue decoders: subclasses say ``venue`` and implement ``_read`` and ``_by_name``."""

    venue: str

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def decode(self, raw: str | bytes, recv_ts: int, context: str = "") -> list[Decoded]:
        """See :class:`service.venues.contract.Decoder`."""
        out: list[Decoded] = []
        try:
            parsed = document(raw)
        except BadPayload as error:
            control = self._plain(raw)
            return control if control is not None else [Bad(error.reason, error.detail)]
        try:
            self._read(parsed, recv_ts, context, out)
        except BadPayload as error:
            out.append(Bad(error.reason, error.detail))
        return out

    def _read(self, parsed: Any, recv_ts: int, context: str, out: list[Decoded]) -> None:
        raise NotImplementedError

    def _by_name(self, name: str) -> Listing | None:
        """What the name alone says of an instrument without metadata; None: not a perpetual quoted in dollars."""
        raise NotImplementedError

    def _plain(self, raw: str | bytes) -> list[Decoded] | None:
        """Frames that are no JSON on purpose: text keep-alives. None: nothing known."""
        if len(raw) != 4:
            return None
        word = raw if isinstance(raw, str) else raw.decode("latin-1")
        return [PONG] if word == "pong" else [] if word == "ping" else None

    def _listing(self, name: str) -> Listing | None:
        """The instrument behind a name, from metadata or from the name; None for foreign products."""
        listing = self._catalog.listings.get(name)
        if listing is not None:
            return listing
        return None if name in self._catalog.foreign else self._by_name(name)

    def _guess(self, name: str, symbol: str, multiplier: float, inverse: bool, size: float | None) -> Listing:
        return Listing(self.venue, name, symbol, inverse, size, multiplier, None, True, 0)

    # -- metadata ---------------------------------------------------------------------------------------------

    def _list(self, listing: Listing, out: list[Decoded]) -> None:
        self._catalog.listings[listing.instrument] = listing
        self._catalog.foreign.discard(listing.instrument)
        out.append(listing)

    def _refuse(self, name: str, recv_ts: int, out: list[Decoded]) -> None:
        """Metadata says the name is foreign; if we had it listed, it no longer trades."""
        self._catalog.foreign.add(name)
        self._delist(name, recv_ts, out)

    def _delist(self, name: str, recv_ts: int, out: list[Decoded]) -> None:
        known = self._catalog.listings.get(name)
        if known is not None and known.trading:
            gone = replace(known, trading=False, recv_ts=recv_ts)
            self._catalog.listings[name] = gone
            out.append(gone)

    def _delist_absent(self, out: list[Decoded], recv_ts: int, inverse: bool | None = None) -> None:
        """After a complete metadata answer: what it no longer names has been delisted.

        Does nothing when the answer named nothing or had a broken row: absence would prove nothing.
        """
        named = {item.instrument for item in out if isinstance(item, Listing)}
        if not named or any(isinstance(item, Bad) for item in out):
            return
        for name, listing in list(self._catalog.listings.items()):
            if name not in named and (inverse is None or listing.inverse is inverse):
                self._delist(name, recv_ts, out)

    # -- observations -----------------------------------------------------------------------------------------

    def _mark(
        self, listing: Listing, mark: float | None, index: float | None, venue_ts: int | None, recv_ts: int
    ) -> Mark:
        """Prices per venue unit, as one observation per canonical unit."""
        if mark is not None:
            mark = canonical_price(mark, listing.multiplier)
            self._catalog.marks[listing.instrument] = mark
        if index is not None:
            index = canonical_price(index, listing.multiplier)
        return Mark(self.venue, listing.instrument, listing.symbol, mark, index, venue_ts, recv_ts)

    def _funding(
        self,
        listing: Listing,
        rate: float,
        interval_h: float | None,
        next_ts: int | None,
        venue_ts: int | None,
        recv_ts: int,
        settled: bool = False,
    ) -> Funding:
        return Funding(
            self.venue,
            listing.instrument,
            listing.symbol,
            rate,
            interval_h,
            rate_8h(rate, interval_h),
            next_ts,
            settled,
            venue_ts,
            recv_ts,
        )

    def _history(
        self,
        rows: list[Any],
        keys: tuple[str, str, str],
        allowed: Sequence[int],
        fallback: Callable[[Listing, bool], float | None],
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        """Settled rates; ``keys`` name instrument, rate and time. The interval of each comes from the spacing of its
        instrument's rows, else from ``fallback(listing, alone)``, alone: the body has no other row of the instrument.
        """
        settled: list[tuple[Listing, float, int]] = []
        for row in rows:
            guarded(out, self._settled, row, keys, settled)
        times: dict[str, list[int]] = {}
        for listing, _, at in settled:
            times.setdefault(listing.instrument, []).append(at)
        spacing = {name: spacings_h(values, allowed) for name, values in times.items()}
        for listing, value, at in settled:
            interval_h = spacing[listing.instrument].get(at)
            if interval_h is None:
                interval_h = fallback(listing, at not in spacing[listing.instrument])
            out.append(self._funding(listing, value, interval_h, None, at, recv_ts, settled=True))

    def _settled(self, row: Any, keys: tuple[str, str, str], into: list[tuple[Listing, float, int]]) -> None:
        name, value, at = keys
        fields = mapping(row, "row")
        listing = self._listing(text(need(fields, name)))
        if listing is not None:
            into.append((listing, rate(need(fields, value)), timestamp_ms(need(fields, at))))

    def _open_interest(
        self,
        listing: Listing,
        contracts: float,
        contract_coins: float,
        coins: float,
        derived: bool,
        venue_ts: int | None,
        recv_ts: int,
    ) -> OpenInterest:
        number(contract_coins, 0.0, COINS_MAX)
        number(coins, 0.0, COINS_MAX)
        return OpenInterest(
            self.venue,
            listing.instrument,
            listing.symbol,
            contracts,
            contract_coins,
            coins,
            derived,
            venue_ts,
            recv_ts,
        )

    def _contracts(
        self, listing: Listing, contracts: float, mark: float | None, venue_ts: int | None, recv_ts: int
    ) -> OpenInterest | Skipped:
        """Open interest in contracts of coins, or of dollars (inverse) at ``mark``, a price per venue unit."""
        size = listing.contract_size if mark is None else contract_coins(listing, mark)
        if size is None or (listing.inverse and mark is None):
            reason = "unknown_contract_size" if size is None else "no_mark"
            return Skipped(self.venue, listing.instrument, reason)
        return self._open_interest(listing, contracts, size, contracts * size, listing.inverse, venue_ts, recv_ts)

    # -- extra streams ----------------------------------------------------------------------------------------

    def _liquidation(
        self,
        listing: Listing,
        side: PositionSide,
        coins: float,
        price: float | None,
        lower_bound: bool,
        venue_ts: int | None,
        recv_ts: int,
    ) -> Liquidation:
        """``coins`` in canonical units already; ``price`` per venue unit. Raises BadPayload for nothing liquidated."""
        number(coins, 0.0, COINS_MAX)
        if coins == 0.0:
            raise BadPayload("out_of_bounds", "liquidation of nothing")
        if price is not None:
            price = canonical_price(price, listing.multiplier)
        return Liquidation(
            self.venue, listing.instrument, listing.symbol, side, coins, price, lower_bound, venue_ts, recv_ts
        )

    def _flow(
        self, listing: Listing, buy_coins: float, sell_coins: float, venue_ts: int | None, recv_ts: int
    ) -> Flow | None:
        """Taker volume of one frame in canonical coins; None where its trades add up to nothing."""
        number(buy_coins, 0.0, COINS_MAX)
        number(sell_coins, 0.0, COINS_MAX)
        if buy_coins == 0.0 and sell_coins == 0.0:
            return None
        return Flow(self.venue, listing.instrument, listing.symbol, buy_coins, sell_coins, venue_ts, recv_ts)

    def _positions(
        self, listing: Listing, long_coins: float, short_coins: float, venue_ts: int | None, recv_ts: int
    ) -> Positions:
        number(long_coins, 0.0, COINS_MAX)
        number(short_coins, 0.0, COINS_MAX)
        return Positions(self.venue, listing.instrument, listing.symbol, long_coins, short_coins, venue_ts, recv_ts)

    def _long_short(
        self, listing: Listing, kind: LongShortKind, long_share: float, venue_ts: int | None, recv_ts: int
    ) -> LongShort:
        number(long_share, 0.0, 1.0)
        return LongShort(self.venue, listing.instrument, listing.symbol, kind, long_share, venue_ts, recv_ts)

    def _history_point(
        self,
        listing: Listing,
        stream: Literal["mark", "index", "oi", "funding"],
        ts: int,
        value: float,
        hold_ms: int,
        interval_h: float | None = None,
    ) -> HistoryPoint:
        """A point of history; prices come per venue unit, open interest as the native one-sided count."""
        if stream in ("mark", "index"):
            value = canonical_price(value, listing.multiplier)
        return HistoryPoint(self.venue, listing.instrument, listing.symbol, stream, ts, value, interval_h, hold_ms)
