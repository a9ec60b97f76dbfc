"""The last hour of samples, second by second: what the windows of docs/signal.md section 4 are measured on.

Counts are cumulative (modulo 2^16, far above what an hour can hold), so that any window costs two look-ups.
"""

from __future__ import annotations

import math
from array import array
from typing import Any, NamedTuple

from service.state import Stateful

LONGEST_S = 3_600
TOLERANCE_S = 2
LEAST_RECEIPTS = 3
MINUTE_S = 60
_SIZE = LONGEST_S + MINUTE_S + 2
_WRAP = 0xFFFF
_NEAREST = (0, -1, 1, -2, 2)  # at equal distance the earlier
_NO_PRICE = array("d", [math.nan]) * _SIZE


class Start(NamedTuple):
    """Price and ln_oi_index where a window begins; ``backfilled``: they are, or rest on, a back-filled sample's."""

    price: float
    ln_oi: float
    backfilled: bool


class SampleRing(Stateful):
    """Price, ln_oi_index and running counts of every second of the last hour; 22 bytes a second."""

    STATE = ("_ln_oi", "_lost", "_newest", "_price", "_quorum", "_receipts", "_shift", "backfilled")
    __slots__ = STATE

    def __init__(self) -> None:
        # By (second - shift) % size. Seconds without a quorum sample have no price (NaN).
        self._price = array("d", [math.nan]) * _SIZE
        self._ln_oi = array("d", bytes(8 * _SIZE))
        self._quorum = array("H", bytes(2 * _SIZE))  # seconds that quorum samples stand for, up to here
        self._receipts = array("H", bytes(2 * _SIZE))  # OI receipts, at most as many a sample as anyone asks for
        self._lost = array("H", bytes(2 * _SIZE))  # seconds without full venue set or without sample
        self._shift = 0
        self._newest: int | None = None  # second of the newest sample
        self.backfilled: int | None = None  # second of the newest back-filled sample

    @property
    def newest(self) -> int | None:
        """Second of the newest sample."""
        return self._newest

    def update(
        self, second: int, price: float | None, ln_oi: float, step_s: int, receipts: int, full_set: bool
    ) -> None:
        """Enter the sample of ``second`` (since the epoch), standing for ``step_s`` seconds; ``price`` None: no quorum.

        A sample that is not later than the newest is ignored.
        """
        if self._newest is None:
            self._newest = second - step_s  # time before the first sample ever is not lost
        gap = second - self._newest
        if gap < 1:
            return
        before = (self._newest - self._shift) % _SIZE
        quorum, received, lost = self._quorum[before], self._receipts[before], self._lost[before]
        missing = max(gap - step_s, 0)
        if gap > 1:
            skipped = range(max(gap - _SIZE, 0) + 1, gap)
            self._fill(self._price, before, skipped, _NO_PRICE)
            self._fill(self._quorum, before, skipped, array("H", [quorum]) * len(skipped))
            self._fill(self._receipts, before, skipped, array("H", [received]) * len(skipped))
            if full_set and missing == 0:
                losses = array("H", [lost]) * len(skipped)
            else:
                losses = array(
                    "H", [(lost + (min(passed, missing) if full_set else passed)) & _WRAP for passed in skipped]
                )
            self._fill(self._lost, before, skipped, losses)
        slot = (before + gap) % _SIZE
        self._price[slot] = math.nan if price is None else price
        self._ln_oi[slot] = ln_oi
        self._quorum[slot] = quorum if price is None else (quorum + step_s) & _WRAP
        self._receipts[slot] = (received + min(receipts, LEAST_RECEIPTS)) & _WRAP
        self._lost[slot] = (lost + (missing if full_set else gap)) & _WRAP
        self._newest = second
        if step_s > 1:
            self.backfilled = second

    def near(self, second: int) -> tuple[float, float] | None:
        """Price and ln_oi_index of the quorum sample nearest to ``second``, at most 2 s away."""
        for offset in _NEAREST:
            found = self._at(second + offset)
            if found is not None:
                return found
        return None

    def start(self, second: int) -> Start | None:
        """Where a window begins: the sample that :meth:`near` finds; else, in the back-filled past, the point between
        two consecutive quorum samples at most 60 s apart, straight in ln price and ln_oi_index."""
        for offset in _NEAREST:
            found = self._at(second + offset)
            if found is not None:
                return Start(*found, self._is_minute(second + offset))
        if self._newest is None or self.backfilled is None or self.backfilled <= second - MINUTE_S:
            return None  # both neighbours would be live
        assert self._newest - LONGEST_S <= second
        before = self._first(second - TOLERANCE_S - 1, second - MINUTE_S, -1)
        if before is None:
            return None
        after = self._first(second + TOLERANCE_S + 1, min(before + MINUTE_S, self._newest) + 1, 1)
        if after is None or not (self._is_minute(before) or self._is_minute(after)):
            return None
        left, right = self._at(before), self._at(after)
        assert left is not None
        assert right is not None
        share = (second - before) / (after - before)
        ln_left = math.log(left[0])
        # Of two equal prices the very same: a flat series has a return of 0, not one of rounding.
        price = left[0] if left[0] == right[0] else math.exp(ln_left + (math.log(right[0]) - ln_left) * share)
        return Start(price, left[1] + (right[1] - left[1]) * share, True)

    def _first(self, start: int, stop: int, step: int) -> int | None:
        """The first second of the range, none later than the newest or more than an hour and a minute older, with a
        quorum sample."""
        price, shift = self._price, self._shift
        for second in range(start, stop, step):
            found = price[(second - shift) % _SIZE]
            if found == found:
                return second
        return None

    def _is_minute(self, second: int) -> bool:
        """Whether the quorum sample of ``second`` is back-filled: it stands for more than its own second."""
        slot = (second - self._shift) % _SIZE
        return (self._quorum[slot] - self._quorum[slot - 1]) & _WRAP > 1

    def last(self, second: int) -> tuple[float, float] | None:
        """The same of the latest one at most 2 s before ``second``, or at it."""
        for offset in range(TOLERANCE_S + 1):
            found = self._at(second - offset)
            if found is not None:
                return found
        return None

    def covered(self, second: int, window_s: int) -> bool:
        """Whether the quorum samples in (second - window, second] stand for nine tenths of it."""
        return self._between(self._quorum, second, window_s) * 10 >= window_s * 9

    def received(self, second: int, window_s: int) -> bool:
        """Whether at least 3 OI receipts came in (second - window, second]."""
        return self._between(self._receipts, second, window_s) >= LEAST_RECEIPTS

    def continuity(self, second: int) -> float:
        """1 less half the share of the last hour without full venue set or without any sample."""
        return 1.0 - 0.5 * self._between(self._lost, second, LONGEST_S) / LONGEST_S

    def reanchor(self, seconds: int) -> None:
        self._shift += seconds
        if self._newest is not None:
            self._newest += seconds
        if self.backfilled is not None:
            self.backfilled += seconds

    @staticmethod
    def _fill(ring: array[Any], before: int, skipped: range, values: array[Any]) -> None:
        """Write ``values`` to the slots that ``skipped`` (less than a round) lie after slot ``before``."""
        start, count = (before + skipped.start) % _SIZE, len(skipped)
        to_end = min(count, _SIZE - start)
        ring[start : start + to_end] = values[:to_end]
        ring[: count - to_end] = values[to_end:count]

    def _at(self, second: int) -> tuple[float, float] | None:
        if self._newest is None or not self._newest - _SIZE < second <= self._newest:
            return None
        slot = (second - self._shift) % _SIZE
        price = self._price[slot]
        return (price, self._ln_oi[slot]) if price == price else None

    def _between(self, counts: array[int], second: int, window_s: int) -> int:
        assert self._newest is not None
        assert second <= self._newest < second - window_s + _SIZE
        end = (second - self._shift) % _SIZE
        return (counts[end] - counts[(second - window_s - self._shift) % _SIZE]) & _WRAP
