"""Funding spread: how far the venues' rates lie apart."""

from __future__ import annotations

from service.indicators.contract import Level
from service.indicators.trailing import LEAST_VALUES, History, LogarithmicBins
from service.model import Consensus
from service.statistics import robust_z


class Spread(Level):
    """Largest less smallest rate_8h over the venues; z and percentile over up to 30 days."""

    NAME = "spread"
    FLOOR = 1e-5
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(History(LogarithmicBins()))

    def of(self, sample: Consensus) -> float | None:
        return sample.funding_spread

    @property
    def ready(self) -> bool:
        return self.history.n >= LEAST_VALUES

    def z(self, x: float, sample: Consensus) -> float | None:
        if not self.ready:
            return None
        median, mad = self.history.middle()
        return robust_z(x, median, mad, self.FLOOR)
