"""Mean funding rate."""

from __future__ import annotations

from math import fsum

from service.research.indicators.contract import About, Input
from service.research.indicators.windowed import DAY_MS, MINUTE_MS, OverWindow


class FundingMean(OverWindow[float]):
    """What longs have been paying: the plain mean over the window's slots."""

    ABOUT = About(
        id="funding_mean",
        inputs=(Input("rate_8h", "fraction per 8 h", signed=True),),
        unit="fraction per 8 h",
        formula="mean of the slots' rates",
        window="24 h of 1 min",
        null="window not covered",
        wickra="FundingRateMean",
        differences="there over a count of ticks, however long these took; ready when full, not from nine tenths on",
    )
    __slots__ = ()

    def __init__(self, window_ms: int = DAY_MS, step_ms: int = MINUTE_MS) -> None:
        super().__init__(window_ms, step_ms)

    @property
    def value(self) -> float | None:
        if not self.ready:
            return None
        rates = self._levels.window()
        return fsum(rates) / len(rates)
