"""The past of one level: 24 h of minute values exactly, up to 30 days of every tenth one in 512 bins.

docs/signal.md section 4. A bin's error is half its width: 0.25 % of the open-interest index (0.5 % once a month of it
spans a factor of 13, 1 % beyond 160), 2 % of a magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from service.indicators.weighted_median import weighted_median
from service.state import Plain, Stateful
from service.statistics import BINS, DAY_MINUTES, BinnedWindow, SortedWindow

MONTH_MINUTES = 30 * DAY_MINUTES
OLDER_EVERY_MINUTES = 10
HOUR_MINUTES = 60
LEAST_VALUES = 60
FURTHEST = 1e12  # bins
NARROW = BINS // 4  # bins held, below which they are halved again


class LogarithmicBins(Stateful):
    """512 bins of equal ratio from 1e-8 to 10 (4.1 % each), for magnitudes; what lies outside joins the nearest."""

    STATE = ()
    LOW = 1e-8
    HIGH = 10.0
    WIDTH = math.log(HIGH / LOW) / BINS

    def index(self, value: float) -> int:
        if value <= self.LOW:
            return 0
        return min(int(math.log(value / self.LOW) / self.WIDTH), BINS - 1)

    def centre(self, index: int) -> float:
        return self.LOW * math.exp((index + 0.5) * self.WIDTH)

    def admit(self, value: float, held: BinnedWindow) -> None:
        """Every value has its bin already."""


class LinearBins(Stateful):
    """512 bins of one width around the values held.

    They are cut from an endless row, the first value held in the middle of number 0. A value beyond them moves the cut;
    where it and the values held lie further apart than 512 bins, two bins become one, until they do not. Once fewer
    than 128 of them are in use, they are halved again, once a value.
    """

    STATE = ("_first", "_halvings", "_origin")
    __slots__ = ("_first", "_halvings", "_origin", "_width")

    def __init__(self, width: float) -> None:
        self._width = width
        self._begin(0.0)

    def _begin(self, value: float) -> None:
        self._origin = value
        self._halvings = 0  # 2**halvings bins of the given width are one
        self._first = -(BINS // 2)  # of these, the one that is number 0 of the 512

    def _number(self, value: float) -> int:
        # So far away bins are no numbers that a dump could hold, and nothing lies between them.
        distance = max(-FURTHEST, min((value - self._origin) / self._width, FURTHEST))
        return math.floor(distance + 0.5) >> self._halvings

    def index(self, value: float) -> int:
        """The bin of ``value``; outside [0, 511] it is beyond every value held."""
        return self._number(value) - self._first

    def centre(self, index: int) -> float:
        return self._origin + ((index + self._first + 0.5) * 2.0**self._halvings - 0.5) * self._width

    def admit(self, value: float, held: BinnedWindow) -> None:
        """See to it that ``value`` has a bin."""
        if held.n == 0:
            self._begin(value)
        if not 0 <= self.index(value) < BINS:
            self._widen(value, held)
        elif self._halvings > 0:
            lowest, highest = held.span()
            index = self.index(value)
            lowest, highest = min(lowest, index), max(highest, index)
            if highest - lowest < NARROW:
                self._narrow(value, held, lowest, highest)

    def _widen(self, value: float, held: BinnedWindow) -> None:
        lowest, highest = held.span()
        number, more = self._number(value), 0
        low, high = min(lowest + self._first, number), max(highest + self._first, number)
        while high - low >= BINS:
            low, high, more = low >> 1, high >> 1, more + 1
        first = (low + high + 1) // 2 - BINS // 2
        held.rebin([(index + self._first >> more) - first for index in range(BINS)])
        self._first = first
        self._halvings += more

    def _narrow(self, value: float, held: BinnedWindow, lowest: int, highest: int) -> None:
        """Halve the bins: what made them wide is forgotten. In which half a value was nobody knows any more: those in
        ``value``'s bin go where it goes, the others into the half nearer to it, so that the order stays."""
        self._halvings -= 1
        number = self._number(value)
        wide = range(self._first, self._first + BINS)
        halves = [number if bin_ == number >> 1 else 2 * bin_ + (bin_ < number >> 1) for bin_ in wide]
        self._first = (halves[lowest] + halves[highest] + 1) // 2 - BINS // 2
        held.rebin([half - self._first for half in halves])


class Trailing(Stateful):
    """The minute values of one level: the last 24 h exactly, and of what is older every tenth one, ten times.

    ``recent`` holds the completed minutes m >= now - 1,440; a minute divisible by ten (of the UTC epoch) that leaves
    it goes into ``older`` with weight ten and stays until it is 30 days old. Without ``bins`` nothing older is
    kept. ``magnitude``: ``older`` and :meth:`percentile` are about absolute values (``recent`` stays signed).
    """

    STATE = ("bins", "older", "recent")
    __slots__ = ("_centres", "_magnitude", "_middle", "bins", "older", "recent")

    def __init__(self, bins: LinearBins | LogarithmicBins | None = None, magnitude: bool = False) -> None:
        self.bins = bins
        self.recent = SortedWindow()
        self.older = BinnedWindow()
        self._magnitude = magnitude
        self._middle: tuple[float, float] | None = None  # until the values change
        self._centres: tuple[list[float], list[int]] | None = None  # of older values, until these change

    @property
    def n(self) -> int:
        """Minute values counted, older ones ten each."""
        return len(self.recent) + self.older.n

    def add(self, minute: int, value: float) -> None:
        """Enter the value of a completed minute; minutes rise."""
        self.hold(minute, minute + 1, value)

    def hold(self, first: int, until: int, value: float) -> None:
        """Enter one value for every completed minute of [first, until): the same as :meth:`add` one by one."""
        for start in range(first, until, DAY_MINUTES):
            end = min(start + DAY_MINUTES, until)
            self._advance(start + 1, end)
            self.recent.hold(start, end, value)
            self._middle = None

    @property
    def oldest(self) -> int | None:
        """The oldest minute with a value; None without any."""
        if self.older.n > 0:
            return self.older.oldest
        return self.recent.oldest if len(self.recent) > 0 else None

    def fill(self, hours: Sequence[tuple[int, float]], now: int) -> None:
        """Enter what is older than every value held: (minute, value), each standing for the hour that begins there,
        oldest first. Of these minutes every tenth counts, as of all that is old; none before 30 days ago.

        The bins are cut as if these values had come after those held: what is held keeps its place among them.
        """
        if self.bins is None:
            return
        before = now if self.oldest is None else self.oldest
        runs = []  # (its first minute that counts, how many of them, value)
        for start, value in hours:
            counted = [
                minute
                for minute in range(start, start + HOUR_MINUTES, OLDER_EVERY_MINUTES)
                if now - MONTH_MINUTES <= minute < before
            ]
            if counted:
                runs.append((counted[0], len(counted), abs(value) if self._magnitude else value))
        if not runs:
            return
        held, cut = self.older.entries(), self.older  # of these the places and the weights
        at = cut.newest
        for _, count, value in runs:
            for _ in range(count):
                self.bins.admit(value, cut)
            cut.add_run(at, 0, count, self.bins.index(value), OLDER_EVERY_MINUTES)
        numbers = [index for _, index, _ in cut.entries()]
        self.older, position = BinnedWindow(), len(held)
        for minute, count, _ in runs:
            self.older.add_run(minute, OLDER_EVERY_MINUTES, count, numbers[position], OLDER_EVERY_MINUTES)
            position += count
        for (minute, _, weight), index in zip(held, numbers, strict=False):
            self.older.add(minute, index, weight)
        self._middle = self._centres = None

    def advance(self, now: int) -> None:
        """Let ``now`` be the running minute: move or drop what has grown too old."""
        self._advance(now, now)

    def _advance(self, first: int, now: int) -> None:
        """Let ``first`` be the running minute, then each after it up to ``now``. How the bins of older values are cut
        depends on what they hold when a value comes: what leaves them before it must be gone."""
        for minute, value in self.recent.forget(now - DAY_MINUTES):
            self._middle = None
            if self.bins is None or minute % OLDER_EVERY_MINUTES != 0:
                continue
            left = max(first, minute + DAY_MINUTES + 1)  # the running minute at which it leaves the recent ones
            if left > first:
                self._forget_older(left - 1)
            if minute >= left - MONTH_MINUTES:
                self._keep(minute, abs(value) if self._magnitude else value)
        self._forget_older(now)

    def _forget_older(self, now: int) -> None:
        if self.older.n > 0 and self.older.oldest < now - MONTH_MINUTES:
            self.older.forget(now - MONTH_MINUTES)
            self._middle = self._centres = None

    def _keep(self, minute: int, value: float) -> None:
        assert self.bins is not None
        self.bins.admit(value, self.older)
        self.older.add(minute, self.bins.index(value), OLDER_EVERY_MINUTES)
        self._centres = None

    def _binned(self) -> tuple[list[float], list[int]]:
        if self._centres is None:
            assert self.bins is not None
            filled = [(index, weight) for index, weight in enumerate(self.older.counts) if weight > 0]
            self._centres = [self.bins.centre(index) for index, _ in filled], [weight for _, weight in filled]
        return self._centres

    def percentile(self, x: float) -> float | None:
        """(count below + 0.5 * count equal) / n, of magnitudes if so built; None below 60 values."""
        n = self.n
        if n < LEAST_VALUES:
            return None
        if self._magnitude:
            x = abs(x)
        below, equal = self.recent.rank_magnitude(x) if self._magnitude else self.recent.rank(x)
        if self.older.n > 0 and self.bins is not None:
            older_below, older_equal = self.older.rank(self.bins.index(x))
            below, equal = below + older_below, equal + older_equal
        return (below + 0.5 * equal) / n

    def recent_percentile(self, x: float) -> float | None:
        """The same over the last 24 h alone, signed."""
        n = len(self.recent)
        if n < LEAST_VALUES:
            return None
        below, equal = self.recent.rank(x)
        return (below + 0.5 * equal) / n

    def median(self) -> tuple[float, float]:
        """Median and MAD over all of it, older values at their bins' centres."""
        if self.older.n == 0 or self.bins is None:
            return self.recent.median()
        if self._middle is None:
            self._middle = weighted_median(self.recent, *self._binned())
        return self._middle

    def horizon_h(self, now: int) -> int:
        """Hours from the oldest value counted to the running minute, rounded up, at most 720; 0 without values."""
        return _hours(now - self.older.oldest) if self.older.n > 0 else self.recent_horizon_h(now)

    def recent_horizon_h(self, now: int) -> int:
        """The same of the last 24 h alone."""
        return _hours(now - self.recent.oldest) if len(self.recent) > 0 else 0

    def reanchor(self, minutes: int) -> None:
        self.recent.reanchor(minutes)
        self.older.reanchor(minutes)

    def load(self, plain: dict[str, Plain]) -> None:
        super().load(plain)
        self._middle = self._centres = None


def _hours(minutes: int) -> int:
    return min(-(-minutes // 60), MONTH_MINUTES // 60)
