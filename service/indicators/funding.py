"""Funding: the OI-weighted rate per 8 h over the venues; and its magnitude, how expensive leverage is."""

from __future__ import annotations

from service.indicators.contract import Level, feeds_a_day
from service.indicators.trailing import History, LogarithmicBins
from service.model import Consensus, LevelReading


class Funding(Level):
    """funding_8h: z and percentile over the last 24 h.

    Its magnitude is a second reading over the same minutes (one copy of them), with 30 days of history in bins.
    """

    NAME = "funding"
    FLOOR = 1e-5
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(History(LogarithmicBins(), magnitude=True))

    def of(self, sample: Consensus) -> float | None:
        return sample.funding_8h

    def read(self, now: int, sample: Consensus) -> LevelReading:
        x = self.value(sample)
        return LevelReading(
            x,
            None if x is None else self.z(x, sample),
            None if x is None or not feeds_a_day(sample) else self.history.recent_percentile(x),
            len(self.history.recent),
            self.history.recent_horizon_h(now),
        )

    def read_magnitude(self, now: int, sample: Consensus) -> LevelReading:
        """abs(funding_8h): its percentile over up to 30 days. No z: nothing asks how unusual a magnitude is."""
        x = self.value(sample)
        return LevelReading(
            None if x is None else abs(x),
            None,
            None if x is None else self.history.percentile(x),
            self.history.n,
            self.history.horizon_h(now),
        )
