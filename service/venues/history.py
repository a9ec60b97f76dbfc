"""What venues' published histories have in common: pages newest first, finished bars, settled funding. Pure.

Nothing here may look ahead: a point stands from the moment at which its value was known, never earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from service.errors import BadPayload
from service.model import Decoded, Listing, Skipped
from service.venues.emit import HOUR_MS, FrameReader, guarded, spacings_h

T = TypeVar("T")
Bars: TypeAlias = Literal["mark", "index"]

MINUTE_MS = 60_000
PREFIX = "history:"
KINDS = ("mark", "index", "oi", "funding")
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
    """What and which instrument a history answer is about; None for any other answer."""
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


def newest_first(*series: Sequence[T]) -> list[T]:
    """Several series of pages as one: the first page of each, in the order given, then the second of each, ...

    >>> newest_first([1, 2, 3], [4], [5, 6])
    [1, 4, 5, 2, 6, 3]
    """
    longest = max(map(len, series), default=0)
    return [pages_[number] for number in range(longest) for pages_ in series if number < len(pages_)]


class HistoryPointReader(FrameReader):
    """Points of history, as their rows come."""

    def _tell_history(
        self,
        listing: Listing,
        what: str,
        rows: Sequence[Any],
        allowed_h: Sequence[int],
        fallback_h: float | None,
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        """The rows of one answer, each read by the venue's `_history_bar`, `_history_count` or `_history_rate`."""
        if what not in KINDS:
            raise BadPayload("unknown_shape", f"history of {what}"[:80])
        settled: list[tuple[int, float]] = []
        for row in rows:
            if what == "mark" or what == "index":
                guarded(out, self._history_bar, listing, what, row, recv_ts, out)
            elif what == "oi":
                guarded(out, self._history_count, listing, row, recv_ts, out)
            else:
                guarded(out, self._history_rate, listing, row, settled)
        self._history_funding(listing, settled, allowed_h, fallback_h, recv_ts, out)

    def _settling(self, what: str, name: str) -> Listing:
        """The instrument of an answer of a venue whose past is settled rates alone. Raises :exc:`BadPayload`."""
        listing = self._listing(name)
        if what != "funding" or listing is None:
            raise BadPayload("unknown_shape", f"history of {what}"[:80])
        return listing

    def _history_bar(self, listing: Listing, stream: Bars, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        raise BadPayload("unknown_shape", "bars")

    def _history_count(self, listing: Listing, row: Any, recv_ts: int, out: list[Decoded]) -> None:
        raise BadPayload("unknown_shape", "open interest")

    def _history_rate(self, listing: Listing, row: Any, settled: list[tuple[int, float]]) -> None:
        raise BadPayload("unknown_shape", "rates")

    def _bar(
        self,
        listing: Listing,
        stream: Bars,
        opened_ms: int,
        close: float,
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        """A minute's close, valid at the end of the minute. A minute that was not over at receipt is left out."""
        end_ms = opened_ms + MINUTE_MS
        if end_ms <= recv_ts:
            out.append(self._history_point(listing, stream, end_ms, close, SPACINGS_HELD * MINUTE_MS))

    def _history_interest(
        self, listing: Listing, stamp_ms: int, step_ms: int, contracts: float, recv_ts: int, out: list[Decoded]
    ) -> None:
        """Open interest stamped at the start of a period, where no page says whether it is of its start or its end.

        Taken as known at the end only: at worst a period late, never early.
        """
        end_ms = stamp_ms + step_ms
        if end_ms <= recv_ts:
            out.append(self._history_point(listing, "oi", end_ms, contracts, SPACINGS_HELD * step_ms))

    def _history_funding(
        self,
        listing: Listing,
        settled: Sequence[tuple[int, float]],
        allowed_h: Sequence[int],
        fallback_h: float | None,
        recv_ts: int,
        out: list[Decoded],
    ) -> None:
        """Settled rates as (time, rate), in any order; the interval from their spacing, else ``fallback_h``."""
        spacing = spacings_h([at for at, _ in settled], allowed_h)
        for at, value in sorted(settled):
            interval_h = spacing.get(at)
            if interval_h is None:
                interval_h = fallback_h
            if interval_h is None:
                out.append(Skipped(self.venue, listing.instrument, "unknown_interval"))
            elif at <= recv_ts:
                hold_ms = int(FUNDING_HOLD * interval_h * HOUR_MS)
                out.append(self._history_point(listing, "funding", at, value, hold_ms, interval_h))


def same_name(said: str, instrument: str) -> None:
    """A row or answer about another instrument than was asked for. Raises :exc:`BadPayload`."""
    if said != instrument:
        raise BadPayload("bad_name", f"{said!r} in an answer about {instrument}"[:80])
