"""Minute values: of each level the last non-null one of every UTC minute, handed on once the minute is over."""

from __future__ import annotations

from collections.abc import Sequence

from service.indicators.contract import Level
from service.model import Consensus
from service.state import Stateful

MINUTE_MS = 60_000
MINUTE_S = 60


class MinuteValues(Stateful):
    """The running minute of a symbol. It owns no level; it feeds them.

    A minute is over with the first sample at or after its end; the minutes that the next sample stands for have the
    value of the one before. After a backward re-anchor samples may fall into
    a minute that is already over: they count for the running one.
    """

    STATE = ("_values", "minute")
    __slots__ = ("_levels", "_values", "minute")

    def __init__(self, levels: Sequence[Level]) -> None:
        self._levels = tuple(levels)
        self._values: list[float | None] = [None] * len(self._levels)
        self.minute: int | None = None  # the running minute, since the epoch

    def update(self, sample: Consensus) -> None:
        """Take one sample; samples come in time order."""
        minute = sample.ts // MINUTE_MS
        if self.minute is None or minute > self.minute:
            if self.minute is not None:
                # A back-filled sample of several minutes is the first news since the one before: that one held so long.
                held = minute - self.minute if (minute - self.minute) * MINUTE_S <= sample.step_s else 1
                for level, x in zip(self._levels, self._values, strict=True):
                    level.hold(self.minute, self.minute + held, x)
                    level.advance(minute)
                self._values = [None] * len(self._levels)
            self.minute = minute
        if sample.quorum:
            for position, level in enumerate(self._levels):
                x = level.of(sample)
                if x is not None:
                    self._values[position] = x

    def reanchor(self, minutes: int) -> None:
        if self.minute is not None:
            self.minute += minutes
