"""Z-score of the funding rate."""

from __future__ import annotations

from math import fsum, sqrt

from service.formulas import ratio
from service.research.indicators.contract import About, Input
from service.research.indicators.windowed import DAY_MS, MINUTE_MS, OverWindow


class FundingZ(OverWindow[float]):
    """The rate now in standard deviations from its mean, itself among them.

    One outlier moves both; :class:`~service.research.indicators.robust_z.RobustZ` is what the signal is made of.
    """

    ABOUT = About(
        id="funding_z",
        inputs=(Input("rate_8h", "fraction per 8 h", signed=True),),
        unit="standard deviations",
        formula="(rate - mean) / sqrt(mean of squared deviations), over the slots, the running one included",
        window="24 h of 1 min",
        null="window not covered; running slot empty; all rates equal",
        wickra="FundingRateZScore",
        differences="there 0 while all are equal, at times the rounding noise of its running sums (6e-9); a count of "
        "ticks, not time",
    )
    __slots__ = ()

    def __init__(self, window_ms: int = DAY_MS, step_ms: int = MINUTE_MS) -> None:
        super().__init__(window_ms, step_ms)

    @property
    def value(self) -> float | None:
        if not self.ready or self._levels.now is None:
            return None
        rates = self._levels.window()
        # From the newest one: differences of near numbers are exact, so rates that hardly differ are told apart, and
        # equal ones have a variance of exactly 0.
        shifted = [rate - rates[-1] for rate in rates]
        mean = fsum(shifted) / len(shifted)
        variance = fsum((rate - mean) * (rate - mean) for rate in shifted) / len(shifted)
        return ratio(0.0 - mean, sqrt(variance))
