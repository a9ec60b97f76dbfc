"""What venues' published histories have in common: pages newest first, finished bars, settled funding. Pure.

Nothing here may look ahead: a point stands from the moment at which its value was known, never earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from service.errors import BadPayload
from service.model import Listing
from service.venues.emit import Emit
from service.venues.funding_schedule import HOUR_MS, spacings_h

T = TypeVar("T")
Bars: TypeAlias = Literal["mark", "index"]
RowReader: TypeAlias = Callable[[Listing, Any], "tuple[int, float] | None"]

MINUTE_MS = 60_000
PREFIX = "history:"
HOURLY = {"hourly_mark": "mark", "hourly_oi": "oi"}  # what a month is made of, by the hour, and the stream it is of
FUNDING_HOLD = 1.25  # settlements: a settled rate stands until the next, and a little longer should that be missing
SPACINGS_HELD = 2  # other points: this many spacings
FUNDING_BEFORE_MS = 24 * HOUR_MS  # settlements from before the past that is asked for: the one in force, the interval


def context_of(what: str, instrument: str) -> str:
    """The context of a history request.

    >>> context_of("mark", "BTCUSDT"), subject_of("history:mark:BTCUSDT"), subject_of("openInterest")
    ('history:mark:BTCUSDT', ('mark', 'BTCUSDT'), None)
    """
    return f"{PREFIX}{what}:{instrument}"


def subject_of(context: str) -> tuple[str, str] | None:
    """What (a stream, or one of :data:`HOURLY`) and which instrument a history answer is about; None for any other."""
    if not context.startswith(PREFIX):
        return None
    what, _, instrument = context.removeprefix(PREFIX).partition(":")
    return what, instrument


def pages(since_ms: int, now_ms: int, step_ms: int, rows: int) -> list[tuple[int, int]]:
    """Pages of at most ``rows`` rows stamped each ``step_ms`` at their period's start: (first, last) stamp, inclusive.

    Newest first. The first period is the one that ends at or before ``since_ms``, the last the one under way now.

    >>> pages(120_000, 300_000, 60_000, 3)
    [(180000, 300000), (60000, 120000)]
    """
    first = since_ms // step_ms * step_ms - step_ms
    last = now_ms // step_ms * step_ms
    found = []
    while last >= first:
        start = max(first, last - (rows - 1) * step_ms)
        found.append((start, last))
        last = start - step_ms
    return found


def funding_pages(since_ms: int, now_ms: int, interval_h: float | None, rows: int) -> list[tuple[int, int]]:
    """The same for settled rates, with those of the day before. An interval may have been shorter within the month, but
    hardly below four hours where it is longer now; unknown: an hour.

    >>> [(last - first) // HOUR_MS for first, last in funding_pages(30 * HOUR_MS, 230 * HOUR_MS, 8.0, 40)]
    [156, 68]
    """
    step_ms = int(min(interval_h or 1.0, 4.0) * HOUR_MS)
    return pages(since_ms - FUNDING_BEFORE_MS, now_ms, step_ms, rows)


def newest_first(*series: Sequence[T]) -> list[T]:
    """Several series of pages as one: the first page of each, in the order given, then the second of each, ...

    >>> newest_first([1, 2, 3], [4], [5, 6])
    [1, 4, 5, 2, 6, 3]
    """
    longest = max(map(len, series), default=0)
    return [pages_[number] for number in range(longest) for pages_ in series if number < len(pages_)]


def _refuse(listing: Listing, row: Any) -> None:
    raise BadPayload("unknown_shape", "history that the venue does not have")


class Past(NamedTuple):
    """How a venue's rows of history are read, by kind: ``(listing, row) -> (UTC ms, value)``, None for a row to leave
    out. No reader: the venue publishes no such past, and rows that claim to be of it are refused."""

    bar: RowReader = _refuse  # opening of the bar, close per venue unit; of mark and index alike
    interest: RowReader = _refuse  # start of the period, native one-sided count
    interest_ms: int = 0  # the period, where it is not an hour
    settled: RowReader = _refuse  # settlement, rate
    intervals_h: tuple[int, ...] = ()  # spacings of settlements that the venue has


def tell_history(
    emit: Emit, past: Past, listing: Listing, what: str, rows: Sequence[Any], fallback_h: float | None = None
) -> None:
    """The points of one answer of kind ``what``. ``fallback_h``: the funding interval where the spacing of the
    settlements does not show it."""
    hourly, stream = what in HOURLY, HOURLY.get(what, what)
    if stream in ("mark", "index"):
        bars: Bars = "mark" if stream == "mark" else "index"
        for opened_ms, close in _read(emit, past.bar, listing, rows):
            tell_bar(emit, listing, bars, opened_ms, close, HOUR_MS if hourly else MINUTE_MS)
    elif stream == "oi":
        for stamp_ms, contracts in _read(emit, past.interest, listing, rows):
            tell_interest(emit, listing, stamp_ms, HOUR_MS if hourly else past.interest_ms, contracts)
    elif stream == "funding":
        tell_settled(emit, listing, list(_read(emit, past.settled, listing, rows)), past.intervals_h, fallback_h)
    else:
        raise BadPayload("unknown_shape", f"history of {what}"[:80])


def _read(emit: Emit, read: RowReader, listing: Listing, rows: Sequence[Any]) -> Iterator[tuple[int, float]]:
    """The rows that can be read, one at a time, so that what is wrong with one is told in its place."""
    for row in rows:
        try:
            found = read(listing, row)
        except (BadPayload, KeyError) as error:
            emit.bad(error)
            continue
        if found is not None:
            yield found


def tell_bar(
    emit: Emit, listing: Listing, stream: Bars, opened_ms: int, close: float, length_ms: int = MINUTE_MS
) -> None:
    """A bar's close, valid at its end. A bar that was not over at receipt is left out; one that begins between those
    asked for is of another length, and its end is not known."""
    if opened_ms % length_ms != 0:
        emit.bad(BadPayload("out_of_bounds", f"bar of {length_ms} ms from {opened_ms}"))
        return
    end_ms = opened_ms + length_ms
    if end_ms <= emit.recv_ts:
        emit.history_point(listing, stream, end_ms, close, SPACINGS_HELD * length_ms)


def tell_interest(emit: Emit, listing: Listing, stamp_ms: int, step_ms: int, contracts: float) -> None:
    """Open interest stamped at the start of a period, where no page says whether it is of its start or its end.

    Taken as known at the end only: at worst a period late, never early.
    """
    end_ms = stamp_ms + step_ms
    if end_ms <= emit.recv_ts:
        emit.history_point(listing, "oi", end_ms, contracts, SPACINGS_HELD * step_ms)


def tell_settled(
    emit: Emit,
    listing: Listing,
    settled: Sequence[tuple[int, float]],
    allowed_h: Sequence[int],
    fallback_h: float | None,
) -> None:
    """Settled rates as (time, rate), in any order; the interval from their spacing. ``fallback_h``: of one that comes
    alone, and of all where no spacing is ``allowed_h``, because the venue states rates per a fixed time."""
    spacing = spacings_h([at for at, _ in settled], allowed_h) if allowed_h else {}
    for at, value in sorted(settled):
        interval_h = spacing.get(at, fallback_h)
        if interval_h is None:
            emit.skipped(listing.instrument, "unknown_interval")
        elif at <= emit.recv_ts:
            emit.history_point(listing, "funding", at, value, int(FUNDING_HOLD * interval_h * HOUR_MS), interval_h)


def settling(emit: Emit, what: str, name: str) -> Listing:
    """The instrument of an answer of a venue whose past is settled rates alone. Raises :exc:`BadPayload`."""
    listing = emit.listing(name)
    if what != "funding" or listing is None:
        raise BadPayload("unknown_shape", f"history of {what}"[:80])
    return listing


def same_name(said: str, instrument: str) -> None:
    """A row or answer about another instrument than was asked for. Raises :exc:`BadPayload`."""
    if said != instrument:
        raise BadPayload("bad_name", f"{said!r} in an answer about {instrument}"[:80])
