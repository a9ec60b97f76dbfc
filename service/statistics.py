"""Bounded, pure, resumable statistics over time: the arithmetic of docs/signal.md section 4, no stage's own.

* :class:`EwMeanSquare`: mean of squares with a half-life (scales of returns and open-interest changes)
* :class:`SortedWindow`: the values of the last 1,440 minutes; exact median, MAD and rank
* :class:`BinnedWindow`: timed, weighted bin numbers in 512 bins
* :class:`RankWindow`: where a score stands among the last 24 h of ticks (strength, section 6)
* :func:`robust_z`
* :func:`fold`: the sum of floats, the same in every Python

Times are whole seconds or whole UTC minutes (minutes since the epoch); gaps are time without values.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from service.state import Plain, Stateful

BINS = 512
DAY_MINUTES = 1_440
MAD_TO_SIGMA = 1.4826
_LONGEST_STEP = 255  # what one byte can say
_BLOCK = 32  # bins summed up together


def robust_z(x: float, median: float, mad: float, floor: float) -> float:
    """Distance from the median in units of 1.4826 MAD, with a floor that keeps a flat series at 0."""
    return (x - median) / (MAD_TO_SIGMA * max(mad, floor))


def fold(values: Iterable[float]) -> float:
    """The sum of floats from left to right, as Python 3.11 and older take it; 0.0 of none.

    From 3.12 on the builtin carries the rounding errors along (gh-100425): better, but other last digits, which a
    threshold or a tie turns into other signals. What is published or stored must not depend on the Python that runs.

    >>> fold([0.1] * 10)
    0.9999999999999999
    """
    total = 0.0
    for value in values:
        total += value
    return total


class EwMeanSquare(Stateful):
    """Exponentially weighted mean of squares: v = (1 - alpha) v + alpha x^2, first value x^2.

    alpha = 1 - 0.5^(step / half-life). ``plain_start``: alpha_n = max(alpha, 1/n), a plain mean until the
    half-life's weight is reached. ``n`` counts updates; ``value`` means nothing while it is 0.
    """

    STATE = ("n", "value")
    __slots__ = ("_alpha", "_plain_start", "n", "value")

    def __init__(self, half_life_s: float, step_s: float, plain_start: bool = False) -> None:
        self._alpha = 1.0 - math.pow(0.5, step_s / half_life_s)
        self._plain_start = plain_start
        self.n = 0
        self.value = 0.0

    def update(self, square: float, times: int = 1) -> None:
        """Enter the squared change of one step, ``times`` over for a longer step cut into equal parts."""
        alpha, n, until, value = self._alpha, self.n, self.n + times, self.value
        while n < until and (n == 0 or (self._plain_start and alpha < 1.0 / (n + 1))):
            n += 1
            value = square if n == 1 else (1.0 - 1.0 / n) * value + 1.0 / n * square
        kept, gained = 1.0 - alpha, alpha * square
        for _ in range(until - n):  # an hour of history is 360 steps: all that can be is taken out of the loop
            value = kept * value + gained
        self.n, self.value = until, value


TIE = 1e-9  # relative: a mean of equal values differs from them by rounding, which must not decide a rank


class SortedWindow(Stateful):
    """At most one value a minute over ``span`` minutes, by minute and in order of size.

    Values are finite; minutes rise. Ten bytes a minute: the value in a ring, and its slot in sorted order.
    """

    STATE = ("_oldest", "_order", "_shift", "_values")
    __slots__ = ("_from_left", "_middle", "_oldest", "_order", "_shift", "_values", "span")

    def __init__(self, span: int = DAY_MINUTES) -> None:
        if not 1 <= span <= 65_535:
            raise ValueError(f"span {span} is not within 1 to 65535 minutes")
        self.span = span
        self._values = array("d", [math.nan]) * span  # by (minute - shift) % span; NaN: none
        self._order = array("H")  # slots by rising value; of equal values the older first
        self._oldest = 0  # minute of the oldest value, if there is any
        self._shift = 0
        self._middle: tuple[float, float] | None = None  # median and MAD, until the values change
        self._from_left = 0  # where the last search of the MAD ended: where the next one begins

    def __len__(self) -> int:
        return len(self._order)

    @property
    def oldest(self) -> int:
        """Minute of the oldest value; meaningless while empty."""
        return self._oldest

    def add(self, minute: int, value: float) -> None:
        """Enter the value of a minute after all others; :meth:`forget` must have made room."""
        self.hold(minute, minute + 1, value)

    def hold(self, first: int, until: int, value: float) -> None:
        """Enter one value for every minute of [first, until), all after the others, as :meth:`add` one by one."""
        if len(self._order) == 0:
            self._oldest = first
        slots = [(minute - self._shift) % self.span for minute in range(first, until)]
        taken = any(self._values[slot] == self._values[slot] for slot in slots)
        if taken or not self._oldest <= first < until <= self._oldest + self.span:
            raise ValueError(f"minutes {first} to {until - 1} are not free in {self.span} minutes from {self._oldest}")
        position = bisect_right(self._order, value, key=self._values.__getitem__)
        self._order[position:position] = array("H", slots)
        for slot in slots:
            self._values[slot] = value
        self._middle = None

    def forget(self, before: int) -> list[tuple[int, float]]:
        """Drop the minutes below ``before``; return what they held, oldest first."""
        if self._oldest >= before:
            return []
        dropped = []
        while len(self._order) > 0:
            slot = (self._oldest - self._shift) % self.span
            value = self._values[slot]
            if value == value:
                if self._oldest >= before:
                    break
                position = end = bisect_left(self._order, value, key=self._values.__getitem__)
                assert self._order[position] == slot  # the oldest of its equals
                while self._values[slot] == value and self._oldest < before:  # those after it that held: its neighbours
                    dropped.append((self._oldest, self._values[slot]))
                    self._values[slot] = math.nan
                    self._oldest, end = self._oldest + 1, end + 1
                    slot = (self._oldest - self._shift) % self.span
                del self._order[position:end]
                self._middle = None
            else:
                self._oldest += 1
        return dropped

    def at(self, minute: int) -> float | None:
        if len(self._order) == 0 or not self._oldest <= minute < self._oldest + self.span:
            return None
        value = self._values[(minute - self._shift) % self.span]
        return value if value == value else None

    def below(self, x: float) -> int:
        """How many values are below ``x``."""
        return bisect_left(self._order, x, key=self._values.__getitem__)

    def upto(self, x: float) -> int:
        """How many values are ``x`` or below."""
        return bisect_right(self._order, x, key=self._values.__getitem__)

    def nth(self, position: int) -> float:
        """The value at this position in order of size, from 0."""
        return self._values[self._order[position]]

    def rank(self, x: float) -> tuple[int, int]:
        """How many values are below ``x``, and how many equal it, within :data:`TIE` of it."""
        apart = TIE * abs(x)
        below = self.below(x - apart)
        if below == len(self._order) or self.nth(below) > x + apart:
            return below, 0  # most values occur once: no second search
        return below, self.upto(x + apart) - below

    def rank_magnitude(self, x: float) -> tuple[int, int]:
        """The same for the magnitudes of all, ``x`` included."""
        below_minus, equal_minus = self.rank(-abs(x))
        if x == 0:
            return 0, equal_minus
        below_plus, equal_plus = self.rank(abs(x))
        return below_plus - below_minus - equal_minus, equal_minus + equal_plus

    def median(self) -> tuple[float, float]:
        """Median and plain median absolute deviation; of an even count the mean of the middle two."""
        if self._middle is None:
            median = self._median()
            self._middle = median, self._mad(median)
        return self._middle

    def reanchor(self, minutes: int) -> None:
        self._oldest += minutes
        self._shift += minutes

    def load(self, plain: dict[str, Plain]) -> None:
        super().load(plain)
        self._middle = None

    def _median(self) -> float:
        count = len(self._order)
        upper = self._values[self._order[count // 2]]
        return upper if count % 2 == 1 else (self._values[self._order[count // 2 - 1]] + upper) / 2

    def _mad(self, median: float) -> float:
        # Deviations rise from the middle to both sides: two sorted runs. The k smallest of both take some i from
        # the left one; i is found by bisection, and the k-th and the next stand at its edge. From one minute to the
        # next i hardly moves: the first steps go out from the last one, doubling.
        values, order, count = self._values, self._order, len(self._order)
        middle = count // 2
        k = (count + 1) // 2
        low, high = max(0, k - (count - middle)), min(k, middle)
        i, reach = self._from_left, 1
        while low < high:
            if not low <= i < high:
                i = (low + high) // 2
            right = values[order[middle + k - i - 1]] - median if k - i > 0 else -1.0
            if right > median - values[order[middle - 1 - i]]:
                low = i + 1
                i = low + reach
            else:
                high = i
                i = high - 1 - reach
            reach *= 2
        self._from_left = low
        left_last = median - values[order[middle - low]] if low > 0 else -1.0
        right_last = values[order[middle + k - low - 1]] - median if k - low > 0 else -1.0
        kth = max(left_last, right_last)
        if count % 2 == 1:
            return kth
        left_next = median - values[order[middle - 1 - low]] if low < middle else math.inf
        right_next = values[order[middle + k - low]] - median if middle + k - low < count else math.inf
        return (kth + min(left_next, right_next)) / 2


class BinnedWindow(Stateful):
    """Timed entries, each a bin number below 512 and a weight of 1 to 127; three bytes an entry.

    Times are whole numbers of any unit and rise. An entry stores its distance from the one before in a byte;
    weightless entries bridge longer distances.
    """

    STATE = ("_blocks", "_head", "_packed", "_steps", "counts", "n", "newest", "oldest")
    __slots__ = STATE

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._steps = array("B")
        self._packed = array("H")  # weight * 512 + bin
        self._head = 0  # entries before it are forgotten
        self._empty()
        self.oldest = 0  # time of the oldest entry, if n > 0
        self.newest = 0  # and of the newest

    def _empty(self) -> None:
        self.counts = array("I", bytes(4 * BINS))  # weight by bin
        self._blocks = array("I", bytes(4 * (BINS // _BLOCK)))  # weight by 32 bins
        self.n = 0  # sum of weights

    def _count(self, index: int, weight: int) -> None:
        self.counts[index] += weight
        self._blocks[index // _BLOCK] += weight
        self.n += weight

    def add(self, time: int, index: int, weight: int) -> None:
        """Enter a bin number at a time after all others (which must be within reach: :meth:`forget` first)."""
        if self.n == 0:
            self._clear()
            self.oldest = self.newest = time
        step = time - self.newest
        while step > _LONGEST_STEP:
            self._steps.append(_LONGEST_STEP)
            self._packed.append(0)
            step -= _LONGEST_STEP
        self._steps.append(step)
        self._packed.append(weight * BINS + index)
        self._count(index, weight)
        self.newest = time

    def add_run(self, time: int, step: int, count: int, index: int, weight: int) -> None:
        """Enter ``count`` alike, the first at ``time``, each ``step`` (at most 255) after the one before: the same as
        :meth:`add` one by one."""
        self.add(time, index, weight)
        more = count - 1
        self._steps.extend([step] * more)
        self._packed.extend([weight * BINS + index] * more)
        self._count(index, weight * more)
        self.newest += step * more

    def entries(self) -> list[tuple[int, int, int]]:
        """(time, bin, weight) of all that is held, oldest first."""
        found, at = [], self.oldest
        for position in range(self._head, len(self._packed) if self.n > 0 else 0):
            if position > self._head:
                at += self._steps[position]
            weight, index = divmod(self._packed[position], BINS)
            if weight > 0:
                found.append((at, index, weight))
        return found

    def forget(self, before: int) -> None:
        """Drop the entries with a time below ``before``."""
        if self.n > 0 and self.oldest >= before:
            return
        while self.n > 0:
            weight, index = divmod(self._packed[self._head], BINS)
            if weight > 0:
                if self.oldest >= before:
                    break
                self._count(index, -weight)
            self._head += 1
            if self._head < len(self._packed):
                self.oldest += self._steps[self._head]
        if self._head >= BINS:
            del self._steps[: self._head]
            del self._packed[: self._head]
            self._head = 0

    def rank(self, index: int) -> tuple[int, int]:
        """Weight below bin ``index`` and weight in it; the index may lie outside the bins."""
        if index < 0:
            return 0, 0
        if index >= BINS:
            return self.n, 0
        block = index // _BLOCK
        return sum(self._blocks[:block]) + sum(self.counts[block * _BLOCK : index]), self.counts[index]  # integers

    def rank_before(self, index: int, time: int) -> tuple[int, int, int]:
        """The same, and the total, over the entries with a time below ``time``."""
        below, equal = self.rank(index)
        n, at = self.n, self.newest
        if at < time:
            return below, equal, n
        for position in range(len(self._packed) - 1, self._head - 1, -1):
            if at < time:
                break
            weight, other = divmod(self._packed[position], BINS)
            n -= weight
            below -= weight if other < index else 0
            equal -= weight if other == index else 0
            at -= self._steps[position]
        return below, equal, n

    def span(self) -> tuple[int, int]:
        """The lowest and the highest bin with an entry, of at least one entry."""
        held = [index for index, weight in enumerate(self.counts) if weight > 0]
        return held[0], held[-1]

    def rebin(self, numbers: Sequence[int]) -> None:
        """Number the bins anew: what was in bin i is now in ``numbers[i]``, below 512 for every bin with an entry."""
        self._empty()
        for position in range(self._head, len(self._packed)):
            weight, index = divmod(self._packed[position], BINS)
            index = numbers[index] if weight > 0 else 0
            self._packed[position] = weight * BINS + index
            self._count(index, weight)

    def reanchor(self, shift: int) -> None:
        self.oldest += shift
        self.newest += shift


class RankWindow(Stateful):
    """Rank of a magnitude among earlier entries of a trailing horizon, in 512 bins of ``sqrt(abs(value))``.

    Values are scores in [-1, 1]; larger magnitudes share the last bin. The square root spends the bins on small
    scores, where most of them are. Entries come on whole seconds in time order; one that is not later than the
    newest is ignored. Memory: three bytes an entry.
    """

    STATE = ("_window",)
    __slots__ = ("_horizon_s", "_window")

    def __init__(self, horizon_ms: int) -> None:
        self._horizon_s = horizon_ms // 1000
        self._window = BinnedWindow()

    def add(self, ts: int, value: float, weight: int = 1) -> None:
        """Enter ``value`` at ``ts`` (UTC ms), counted ``weight`` times (1 to 127)."""
        if not 1 <= weight <= 127:
            raise ValueError(f"weight {weight} is not within 1 to 127")
        second = ts // 1000
        self._window.forget(second - self._horizon_s + 1)
        if self._window.n == 0 or second > self._window.newest:
            self._window.add(second, _root_bin(value), weight)

    def rank(self, value: float, ts: int) -> tuple[float, int]:
        """``((count below + 0.5 * count in the same bin) / n, n)`` over entries with ts - horizon < time < ts.

        Without entries the rank is 0.5 and n is 0: the caller asks for a least n.
        """
        second = ts // 1000
        self._window.forget(second - self._horizon_s + 1)
        below, equal, n = self._window.rank_before(_root_bin(value), second)
        return ((below + 0.5 * equal) / n if n > 0 else 0.5), n

    def reanchor(self, delta_ms: int) -> None:
        """Shift every entry by ``delta_ms`` rounded to whole seconds."""
        self._window.reanchor(round(delta_ms / 1000))


def _root_bin(value: float) -> int:
    return min(int(math.sqrt(abs(value)) * BINS), BINS - 1)
