"""Bounded, pure, resumable statistics over time: the arithmetic of docs/signal.md section 4, no stage's own.

* :class:`RankWindow`: where a value stands among the last 24 h of ticks, in 512 bins (strength, section 6)

Times are whole seconds or whole UTC minutes; statistics count time, never samples alone, so gaps cost nothing.
"""

from __future__ import annotations

import math
from array import array

from service.state import Stateful

BINS = 512
_LONGEST_STEP_S = 65_535  # what one 16-bit delta can say


class RankWindow(Stateful):
    """Rank of a magnitude among earlier entries of a trailing horizon, in 512 bins of ``sqrt(abs(value))``.

    Values are scores in [-1, 1]; only their magnitude counts, and larger ones fall into the last bin. The
    square root spends the bins on small scores, where most of them are. Entries come in time order, on whole
    seconds; one that is not later than the newest is ignored (after a re-anchor by a fraction of a second a
    tick may repeat). Four bytes an entry: seconds since the one before, and bin with weight.
    """

    STATE = ("_steps", "_packed", "_counts", "_head", "_oldest_s", "_newest_s", "_n")
    __slots__ = ("_counts", "_head", "_horizon_s", "_newest_s", "_n", "_oldest_s", "_packed", "_steps")

    def __init__(self, horizon_ms: int) -> None:
        self._horizon_s = horizon_ms // 1000
        self._clear()

    def _clear(self) -> None:
        self._steps = array("H")  # seconds since the entry before
        self._packed = array("H")  # weight * 512 + bin
        self._counts = array("I", bytes(4 * BINS))
        self._head = 0  # entries before it have expired
        self._oldest_s = 0  # time of the entry at the head
        self._newest_s: int | None = None
        self._n = 0

    def add(self, ts: int, value: float, weight: int = 1) -> None:
        """Enter ``value`` at ``ts`` (UTC ms), counted ``weight`` times (1 to 127)."""
        if not 1 <= weight <= 127:
            raise ValueError(f"weight {weight} is not within 1 to 127")
        second = ts // 1000
        if self._newest_s is not None:
            if second <= self._newest_s:
                return
            self._expire(second)
        if self._newest_s is None or self._head == len(self._packed):
            self._clear()
            self._oldest_s = second
            step = 0
        else:
            step = second - self._newest_s
            while step > _LONGEST_STEP_S:  # weightless entries bridge a long gap
                self._steps.append(_LONGEST_STEP_S)
                self._packed.append(0)
                step -= _LONGEST_STEP_S
        index = _root_bin(value)
        self._steps.append(step)
        self._packed.append(weight * BINS + index)
        self._counts[index] += weight
        self._n += weight
        self._newest_s = second

    def rank(self, value: float, ts: int) -> tuple[float, int]:
        """``((count below + 0.5 * count in the same bin) / n, n)`` over entries with ts - horizon < time < ts.

        Without entries the rank is 0.5 and n is 0: the caller asks for a least n.
        """
        second = ts // 1000
        self._expire(second)
        index = _root_bin(value)
        below = sum(self._counts[:index])
        equal = self._counts[index]
        n = self._n
        if self._newest_s is not None and self._newest_s >= second:
            below, equal, n = self._without_later(second, index, below, equal)
        return ((below + 0.5 * equal) / n if n > 0 else 0.5), n

    def reanchor(self, delta_ms: int) -> None:
        """Shift every entry by ``delta_ms`` rounded to whole seconds."""
        shift = round(delta_ms / 1000)
        self._oldest_s += shift
        if self._newest_s is not None:
            self._newest_s += shift

    def _expire(self, second: int) -> None:
        limit = second - self._horizon_s
        while self._head < len(self._packed) and self._oldest_s <= limit:
            weight, index = divmod(self._packed[self._head], BINS)
            self._counts[index] -= weight
            self._n -= weight
            self._head += 1
            if self._head < len(self._packed):
                self._oldest_s += self._steps[self._head]
        if self._head >= 256:
            del self._steps[: self._head]
            del self._packed[: self._head]
            self._head = 0

    def _without_later(self, second: int, index: int, below: int, equal: int) -> tuple[int, int, int]:
        assert self._newest_s is not None
        time_s, n = self._newest_s, self._n
        for position in range(len(self._packed) - 1, self._head - 1, -1):
            if time_s < second:
                break
            weight, other = divmod(self._packed[position], BINS)
            n -= weight
            below -= weight if other < index else 0
            equal -= weight if other == index else 0
            time_s -= self._steps[position]
        return below, equal, n


def _root_bin(value: float) -> int:
    return min(int(math.sqrt(abs(value)) * BINS), BINS - 1)
