"""What a level indicator promises: a value now, judged against its own completed minutes.

Lifecycle, by the minute values held (t in whole UTC minutes, rising):

* *cold*: none yet; every reading is None but for the value itself
* *warming*: 1 to 59; the same
* *ready*: 60 or more: z and percentile are given wherever there is a value now

Minutes without a value are skipped, so a long gap leads back to warming as the past grows too old.
``dump()`` and ``load()`` (:class:`~service.state.Stateful`) keep all of it exactly, at any point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from service.indicators.trailing import LEAST_VALUES, Trailing
from service.model import Consensus, LevelReading
from service.state import Stateful
from service.statistics import robust_z

UNREAD = LevelReading(None, None, None, 0, 0)
COARSEST_S = 3_600  # samples further apart than this say nothing of a day's spread: 24 values held for an hour each


def feeds_a_day(sample: Consensus) -> bool:
    """Whether samples come often enough for a statistic over 24 h; coarser back-filled ones leave it undefined."""
    return sample.step_s <= COARSEST_S


class Level(Stateful):
    """Base of the level indicators. A subclass names itself, its MAD floor and what it reads of a sample."""

    STATE: ClassVar[tuple[str, ...]] = ("history",)
    NAME: ClassVar[str]  # the field of Readings
    FLOOR: ClassVar[float]  # least MAD, in the level's own unit
    __slots__ = ("history",)

    def __init__(self, history: Trailing) -> None:
        self.history = history

    def of(self, sample: Consensus) -> float | None:
        """The level in a sample that has quorum; None if undefined there."""
        raise NotImplementedError

    def value(self, sample: Consensus) -> float | None:
        """The level now, ``sample`` being the newest; None if undefined."""
        return self.of(sample) if sample.quorum else None

    def update(self, t: int, x: float | None) -> None:
        """Minute ``t`` is complete; ``x`` is the last non-null :meth:`of` in it, None if there was none."""
        self.hold(t, t + 1, x)

    def hold(self, first: int, until: int, x: float | None) -> None:
        """Every minute of [first, until) is complete with the same ``x``: as :meth:`update` one by one, but quicker."""
        if x is not None:
            self.history.hold(first, until, x)

    def fill(self, hours: Sequence[tuple[int, float]], now: int) -> None:
        """Older values than any held, by the hour (:meth:`Trailing.fill`); ``now``: the running minute."""
        self.history.fill(hours, now)

    def advance(self, now: int) -> None:
        """``now`` is the running minute: forget what is too old for it."""
        self.history.advance(now)

    @property
    def ready(self) -> bool:
        return len(self.history.recent) >= LEAST_VALUES

    def floor(self, sample: Consensus) -> float:
        return self.FLOOR

    def z(self, x: float, sample: Consensus) -> float | None:
        """Robust z of ``x`` over 24 h of minute values; None below 60 of them, whatever is older."""
        if len(self.history.recent) < LEAST_VALUES or not feeds_a_day(sample):
            return None
        median, mad = self.history.recent.median()
        return robust_z(x, median, mad, self.floor(sample))

    def read(self, now: int, sample: Consensus) -> LevelReading:
        """The reading of the newest sample, in the running minute ``now``."""
        x, history = self.value(sample), self.history
        if x is None:
            return LevelReading(None, None, None, history.n, history.horizon_h(now))
        percentile = history.percentile(x) if history.bins is not None or feeds_a_day(sample) else None
        return LevelReading(x, self.z(x, sample), percentile, history.n, history.horizon_h(now))

    def read_z(self, sample: Consensus) -> LevelReading:
        """The reading without its rank."""
        x = self.value(sample)
        return UNREAD if x is None else LevelReading(x, self.z(x, sample), None, 0, 0)

    def reanchor(self, minutes: int) -> None:
        self.history.reanchor(minutes)
