"""The venues' published past as events, one UTC minute after the other. Pure; docs/start.md says what is made of it.

A point becomes an observation at the first minute at or after its time; while it stands (``hold_ms``) and no newer one
follows, the later minutes only confirm it, so that open interest which is held is no new receipt.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Container, Iterator, Mapping, Sequence

from service.formulas import rate_8h
from service.market.sides import by_two
from service.model import Confirm, Event, Funding, HistoryPoint, Listing, Mark, OpenInterest, Stream

MINUTE_MS = 60_000
DOUBLING_WITHIN = 0.05  # between points of history, minutes apart


class Series:
    """Points of one stream in the order of their times; of two of the same time the later added one counts."""

    __slots__ = ("hold_ms", "intervals_h", "times", "values")

    def __init__(self) -> None:
        self.times = array("q")
        self.values = array("d")
        self.intervals_h = array("d")  # 0: not said
        self.hold_ms: dict[float, int] = {}  # by interval: a rate stands as long as the period after it

    def add(self, point: HistoryPoint) -> None:
        """Pages come newest first, their points in either order: most go to one of the ends."""
        interval_h = 0.0 if point.interval_h is None else point.interval_h
        self.hold_ms[interval_h] = max(self.hold_ms.get(interval_h, 0), point.hold_ms)
        at = len(self.times) if not self.times or point.ts > self.times[-1] else bisect_left(self.times, point.ts)
        if at < len(self.times) and self.times[at] == point.ts:
            self.values[at] = point.value
            self.intervals_h[at] = interval_h
            return
        self.times.insert(at, point.ts)
        self.values.insert(at, point.value)
        self.intervals_h.insert(at, interval_h)


class Archive:
    """Everything fetched, 24 bytes a point. Points of venues or instruments that nobody lists are not used."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], dict[str, Series]] = {}
        self.points = 0

    def add(self, point: HistoryPoint) -> None:
        streams = self._series.setdefault((point.venue, point.instrument), {})
        streams.setdefault(point.stream, Series()).add(point)
        self.points += 1

    def adopt(self, other: Archive) -> None:
        """Take over what another one has; the two share it from then on."""
        self._series.update(other._series)
        self.points += other.points

    def of(self, venue: str, instrument: str) -> Mapping[str, Series]:
        return self._series.get((venue, instrument), {})


def since_last_doubling(interest: Series) -> Series:
    """Open interest after its last step by a factor of two: what a venue that begins to count both sides, or ends it,
    leaves in its history. Nothing before compares with what comes after."""
    values = interest.values
    for at in range(len(values) - 1, 0, -1):
        if by_two(values[at], values[at - 1], DOUBLING_WITHIN) != 0:
            kept = Series()
            kept.times, kept.values = interest.times[at:], interest.values[at:]
            kept.intervals_h, kept.hold_ms = interest.intervals_h[at:], interest.hold_ms
            return kept
    return interest


class _Cursor:
    """Walks one series minute by minute."""

    __slots__ = ("_hold_ms", "_intervals_h", "_next", "_times", "_values", "fresh", "interval_h", "value")

    def __init__(self, series: Series, after_ms: int = 0) -> None:
        self._times = series.times
        self._values = series.values
        self._intervals_h = series.intervals_h
        self._hold_ms = series.hold_ms
        self._next = 0
        self.value: float | None = None  # what stands, None if nothing does
        self.interval_h: float | None = None
        self.fresh = False  # whether it is new at this minute
        while self._next < len(self._times) and self._times[self._next] <= after_ms:
            # Older than what is known: it confirms that, and is no news.
            self.value = self._values[self._next]
            self._next += 1

    def step(self, minute: int) -> None:
        times, at = self._times, self._next
        while at < len(times) and times[at] <= minute:
            at += 1
        self.fresh = at > self._next
        if self.fresh:
            self._next = at
            interval_h = self._intervals_h[at - 1]
            self.value = self._values[at - 1]
            self.interval_h = None if interval_h == 0.0 else interval_h
        if at == 0 or minute - times[at - 1] > self._hold_ms[self._intervals_h[at - 1]]:
            self.value, self.fresh = None, False


class _Source:
    """One instrument's past."""

    def __init__(self, listing: Listing, streams: Mapping[str, Series], with_funding: bool, known_ms: int) -> None:
        self._listing = listing
        self._names = listing.venue, listing.instrument, listing.symbol
        empty = Series()
        self._mark = _Cursor(streams.get("mark", empty), known_ms)
        self._index = _Cursor(streams.get("index", empty), known_ms)
        self._oi = _Cursor(since_last_doubling(streams.get("oi", empty)), known_ms)
        self._funding = _Cursor(streams.get("funding", empty) if with_funding else empty)
        self._owed = False  # open interest that waits for a mark to be converted
        self._keys = {name: (listing.venue, listing.instrument, name) for name in ("mark", "index", "oi", "funding")}

    def observe(self, events: list[Event], minute: int, live: Mapping[tuple[str, str, str], int]) -> None:
        """Add what stands at ``minute``; a stream that has spoken live by then speaks for itself."""
        mark = self._at(self._mark, "mark", minute, live)
        index = self._at(self._index, "index", minute, live)
        venue, name, symbol = self._names
        held: list[Stream] = []
        if self._mark.fresh and mark is not None:
            events.append(Mark(venue, name, symbol, mark, index, None, minute))
        else:
            if mark is not None:
                held.append("mark")
            if index is not None:
                events.append(Mark(venue, name, symbol, None, index, None, minute))
        oi = self._at(self._oi, "oi", minute, live)
        self._owed = self._owed or self._oi.fresh
        if oi is not None and not self._owed:
            held.append("oi")
        elif oi is not None and (observed := self._open_interest(oi, minute)) is not None:
            self._owed = False
            events.append(observed)
        rate = self._at(self._funding, "funding", minute, live)
        if rate is not None and self._funding.fresh:
            hours = self._funding.interval_h
            per_8h = rate_8h(rate, hours)
            events.append(Funding(venue, name, symbol, rate, hours, per_8h, None, True, None, minute))
        elif rate is not None:
            held.append("funding")
        if held:
            events.append(Confirm(venue, name, symbol, tuple(held), None, minute))

    def _at(self, cursor: _Cursor, stream: str, minute: int, live: Mapping[tuple[str, str, str], int]) -> float | None:
        cursor.step(minute)
        since = live.get(self._keys[stream]) if live else None
        return cursor.value if since is None or since > minute else None

    def _open_interest(self, contracts: float, minute: int) -> OpenInterest | None:
        """None where the size of a contract in coins is not known: an inverse one needs a mark."""
        size = self._listing.contract_size
        if size is None:
            return None
        if self._listing.inverse:
            mark = self._mark.value
            if mark is None or mark <= 0:
                return None
            size /= mark
        venue, name, symbol = self._names
        coins = contracts * size
        return OpenInterest(venue, name, symbol, contracts, size, coins, self._listing.inverse, None, minute)


def minutes(
    archive: Archive,
    listings: Sequence[Listing],
    after_ms: int,
    live: Mapping[tuple[str, str, str], int],
    with_funding: bool = True,
    anew: Container[str] = (),
    step_ms: int = MINUTE_MS,
) -> Iterator[tuple[int, list[Event]]]:
    """Every UTC minute after ``after_ms``, for ever, with its events, received at it; the first begins with listings.

    ``step_ms``: every full hour alone, say, for points that come no oftener.

    ``live``: first receipt of each (venue, instrument, stream) that has spoken live; may grow meanwhile.
    ``with_funding`` False: the engine has seen running estimates, beside which settled rates say nothing new, but for
    the symbols that begin ``anew``.
    """
    sources = [
        _Source(listing, streams, with_funding or listing.symbol in anew, 0 if with_funding else after_ms)
        for listing in listings
        if (streams := archive.of(listing.venue, listing.instrument))
    ]
    minute = (after_ms // step_ms + 1) * step_ms
    events: list[Event] = [
        Listing(
            item.venue,
            item.instrument,
            item.symbol,
            item.inverse,
            item.contract_size,
            item.multiplier,
            item.interval_h,
            item.trading,
            minute,
        )
        for item in listings
    ]
    while True:
        for source in sources:
            source.observe(events, minute, live)
        yield minute, events
        events = []
        minute += step_ms
