"""Volatility of the last day from hourly closes, as anyone can recompute it from a chart."""

from __future__ import annotations

import math
from array import array
from itertools import pairwise

from service.model import Consensus
from service.state import Plain, Stateful
from service.statistics import fold

HOUR_MS = 3_600_000
RETURNS = 24
LEAST_RETURNS = 20
_SLOTS = RETURNS + 4  # one close more than returns, the running hour, and two that a clock may be set back by


class HourlyCloses(Stateful):
    """The last price with quorum of each UTC hour (H - 1 h, H]; a sample on the full hour closes the hour it ends."""

    STATE = ("_closes", "_hour")
    __slots__ = ("_closes", "_hour", "_read", "_value")

    def __init__(self) -> None:
        self._closes = array("d", [math.nan] * _SLOTS)  # ln price by hour % size; the running one as it stands
        self._hour: int | None = None  # the running hour, by its end
        self._read: int | None = None  # the last completed hour that _value is of
        self._value: float | None = None

    def update(self, sample: Consensus) -> None:
        """Every sample, in time order."""
        hour = -(-sample.ts // HOUR_MS)
        if self._hour is None or hour > self._hour:
            skipped = _SLOTS if self._hour is None else min(hour - self._hour, _SLOTS)
            for empty in range(hour - skipped + 1, hour + 1):
                self._closes[empty % _SLOTS] = math.nan
            self._hour = hour
        if sample.quorum and sample.price is not None:
            self._closes[self._hour % _SLOTS] = math.log(sample.price)

    def volatility_24h(self, ts: int) -> float | None:
        """Root of the sum of squared log returns between consecutive closes of the last 24 completed hours at ``ts``,
        the time of the newest sample; a fraction a day. A missing return adds nothing; None under 20 of 24."""
        completed = ts // HOUR_MS
        if completed != self._read:
            self._read, self._value = completed, self._of(completed)
        return self._value

    def _of(self, completed: int) -> float | None:
        closes = [self._closes[hour % _SLOTS] for hour in range(completed - RETURNS, completed + 1)]
        returns = [after - before for before, after in pairwise(closes)]
        squares = [value**2 for value in returns if not math.isnan(value)]
        return math.sqrt(fold(squares)) if len(squares) >= LEAST_RETURNS else None

    def reanchor(self, delta_ms: int) -> None:
        """The service clock moved: hours are shifted whole."""
        hours = round(delta_ms / HOUR_MS)
        if self._hour is not None and hours != 0:
            kept = {hour: self._closes[hour % _SLOTS] for hour in range(self._hour - _SLOTS + 1, self._hour + 1)}
            for hour, close in kept.items():
                self._closes[(hour + hours) % _SLOTS] = close
            self._hour += hours
        self._read = None

    def load(self, plain: Plain) -> None:
        super().load(plain)
        self._read = None
