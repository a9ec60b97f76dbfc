"""Scales of returns and open-interest changes, as they were known before the move that they measure."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right

from service.indicators.window import LONGEST_S
from service.state import Stateful
from service.statistics import EwMeanSquare

STEP_S = 10
HALF_LIFE_S = 3_600
SLOW_HALF_LIFE_S = 7 * 86_400
READY_UPDATES = 60
SLOW_READY_UPDATES = 8_640
RETURN_FLOOR = 1e-5
OI_FLOOR = 1e-6
_KEEP = 64  # entries that may be out of reach before they are cut off


class Scales(Stateful):
    """Mean squares of 10 s changes with half-lives of 1 h and 7 d, and their values at each tick of the last hour.

    One more than an hour's worth is kept, so that after a gap the latest value before it is still known.
    """

    STATE = (
        "_fast_oi",
        "_fast_return",
        "_seconds",
        "_slow_oi",
        "_slow_return",
        "_updates",
        "fast_oi",
        "fast_return",
        "slow_oi",
        "slow_return",
    )
    __slots__ = STATE

    def __init__(self) -> None:
        self.fast_return = EwMeanSquare(HALF_LIFE_S, STEP_S)
        self.fast_oi = EwMeanSquare(HALF_LIFE_S, STEP_S)
        self.slow_return = EwMeanSquare(SLOW_HALF_LIFE_S, STEP_S, plain_start=True)
        self.slow_oi = EwMeanSquare(SLOW_HALF_LIFE_S, STEP_S, plain_start=True)
        self._seconds = array("q")  # of the ticks that updated
        self._updates = array("q")  # how many updates by then
        self._fast_return, self._fast_oi = array("d"), array("d")
        self._slow_return, self._slow_oi = array("d"), array("d")

    def update(self, second: int, ret: float, oi_change: float, span_s: int = STEP_S) -> None:
        """Enter the log changes over the ``span_s`` seconds up to ``second``: 10, or a multiple of it, which counts
        as that many equal, independent changes (60 s: six updates of x^2 / 6)."""
        times = span_s // STEP_S
        ret_square, oi_square = ret * ret / times, oi_change * oi_change / times
        self.fast_return.update(ret_square, times)
        self.fast_oi.update(oi_square, times)
        self.slow_return.update(ret_square, times)
        self.slow_oi.update(oi_square, times)
        self._seconds.append(second)
        self._updates.append(self.fast_return.n)
        self._fast_return.append(self.fast_return.value)
        self._fast_oi.append(self.fast_oi.value)
        self._slow_return.append(self.slow_return.value)
        self._slow_oi.append(self.slow_oi.value)
        if self._seconds[min(_KEEP, len(self._seconds) - 1)] <= second - LONGEST_S:
            for column in self._columns():
                del column[:_KEEP]

    def z(
        self, known_at: int, window_s: int, ret: float, oi_change: float | None
    ) -> tuple[float | None, float | None, float | None, float | None]:
        """z of a window's changes over the scales as known at second ``known_at``: return, oi, slow return, slow oi.

        None while a scale was not ready then, and for an ``oi_change`` of None.
        """
        at = bisect_right(self._seconds, known_at) - 1
        if at < 0 or self._updates[at] < READY_UPDATES:
            return None, None, None, None
        stretch = math.sqrt(window_s / STEP_S)
        z_return = ret / max(RETURN_FLOOR, math.sqrt(self._fast_return[at]) * stretch)
        z_oi = None if oi_change is None else oi_change / max(OI_FLOOR, math.sqrt(self._fast_oi[at]) * stretch)
        if self._updates[at] < SLOW_READY_UPDATES:
            return z_return, z_oi, None, None
        slow_return = ret / max(RETURN_FLOOR, math.sqrt(self._slow_return[at]) * stretch)
        slow_oi = None if oi_change is None else oi_change / max(OI_FLOOR, math.sqrt(self._slow_oi[at]) * stretch)
        return z_return, z_oi, slow_return, slow_oi

    def reanchor(self, seconds: int) -> None:
        for position, second in enumerate(self._seconds):
            self._seconds[position] = second + seconds

    def _columns(self) -> tuple[array[int] | array[float], ...]:
        return (
            self._seconds,
            self._updates,
            self._fast_return,
            self._fast_oi,
            self._slow_return,
            self._slow_oi,
        )
