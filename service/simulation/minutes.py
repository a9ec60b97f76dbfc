"""What an instrument was worth at every past minute, so that the simulated venues can answer for their history; and at
every hour of the month before that."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
KEEP_MINUTES = 72 * 60
KEEP_HOURS = 31 * 24
_SLACK = 600  # minutes kept beyond, so that the front is cut off seldom

Price = Literal["mark", "index"]


@dataclass(frozen=True, slots=True)
class Point:
    """One instrument at ``ts`` (UTC epoch ms, a whole minute), in its venue's native units as :class:`Quote`."""

    ts: int
    mark: float
    index: float
    contracts: float


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices from ``open_ms`` until ``open_ms`` plus the bar's length, or until now if it is not ``closed``."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    closed: bool


class Records:
    """One instrument's minutes, the last 72 h of them, without gaps.

    ``older``: what it was on a full hour before the first minute that was ever recorded, None where that is not known.
    Full hours that are no longer on record as minutes stay.
    """

    __slots__ = ("_begun_ms", "_contracts", "_first_ms", "_hours", "_indices", "_marks", "_older", "last_ms")

    def __init__(self, older: Callable[[int], Point | None] = lambda ts: None) -> None:
        self._older = older
        self._begun_ms = 0  # the first minute that was ever recorded
        self._hours: dict[int, Point] = {}  # full hours that have left the minutes
        self._first_ms = 0
        self._marks = array("d")
        self._indices = array("d")
        self._contracts = array("d")
        self.last_ms = 0  # the newest recorded minute; 0 before the first

    def note(self, minute_ms: int, mark: float, index: float, contracts: float) -> None:
        """Record the next whole minute. ValueError if it does not follow the last one."""
        if minute_ms != self.last_ms + MINUTE_MS:
            if self.last_ms != 0:
                raise ValueError(f"minute {minute_ms} does not follow {self.last_ms}")
            self._first_ms = self._begun_ms = minute_ms
        self.last_ms = minute_ms
        self._marks.append(mark)
        self._indices.append(index)
        self._contracts.append(contracts)
        excess = len(self._marks) - KEEP_MINUTES
        if excess >= _SLACK:
            for ts in range(-(-self._first_ms // HOUR_MS) * HOUR_MS, self._first_ms + excess * MINUTE_MS, HOUR_MS):
                self._hours[ts] = self._recorded(ts)
            for ts in [ts for ts in self._hours if ts < minute_ms - KEEP_HOURS * HOUR_MS]:
                del self._hours[ts]
            self._first_ms += excess * MINUTE_MS
            for column in (self._marks, self._indices, self._contracts):
                del column[:excess]

    def points(self, begin_ms: int, end_ms: int, every_ms: int = MINUTE_MS) -> list[Point]:
        """What was recorded in [begin_ms, end_ms] at whole multiples of ``every_ms`` (minutes), oldest first: of whole
        hours also what is older."""
        result: list[Point] = []
        if not self._marks:
            return result
        ts = -(-max(begin_ms, self._since_ms(every_ms)) // every_ms) * every_ms
        last_ms = min(end_ms, self.last_ms)
        while ts <= last_ms:
            point = self._recorded(ts) if ts >= self._first_ms else self._hour(ts)
            if point is not None:
                result.append(point)
            ts += every_ms
        return result

    def _since_ms(self, every_ms: int) -> int:
        """From when on there is something every so often."""
        return self.last_ms - KEEP_HOURS * HOUR_MS if every_ms % HOUR_MS == 0 else self._first_ms

    def _recorded(self, ts: int) -> Point:
        at = (ts - self._first_ms) // MINUTE_MS
        return Point(ts, self._marks[at], self._indices[at], self._contracts[at])

    def _hour(self, ts: int) -> Point | None:
        return self._hours.get(ts) if ts >= self._begun_ms else self._older(ts)

    def bars(self, price: Price, begin_ms: int, end_ms: int, minutes: int, now_ms: int, now: float) -> list[Bar]:
        """Bars that open in [begin_ms, end_ms] and not before the records, oldest first; those of whole hours also from
        before, made of full hours.

        The last is the running one, up to ``now`` at ``now_ms``, if it has begun by ``end_ms``.
        """
        column = self._marks if price == "mark" else self._indices
        length_ms = minutes * MINUTE_MS
        result: list[Bar] = []
        if not column:
            return result
        open_ms = -(-max(begin_ms, self._since_ms(length_ms)) // length_ms) * length_ms
        while open_ms <= min(end_ms, self.last_ms):
            if open_ms < self._first_ms:
                found = self.points(open_ms, open_ms + length_ms, HOUR_MS)
                values = [getattr(point, price) for point in found]
                if values and found[0].ts == open_ms:
                    result.append(Bar(open_ms, values[0], max(values), min(values), values[-1], True))
                open_ms += length_ms
                continue
            at = (open_ms - self._first_ms) // MINUTE_MS
            closed = open_ms + length_ms <= now_ms
            values = list(column[at : at + minutes + 1])
            if not closed:
                values.append(now)
            result.append(Bar(open_ms, values[0], max(values), min(values), values[-1], closed))
            open_ms += length_ms
        return result
