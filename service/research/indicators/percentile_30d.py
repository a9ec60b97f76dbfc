"""Percentile of any series among up to 30 days of its own past."""

from __future__ import annotations

from typing import ClassVar

from service.indicators.trailing import LEAST_VALUES, History, LinearBins, LogarithmicBins
from service.research.indicators.contract import About, Indicator, Input
from service.research.indicators.minutes import Minutes


class Percentile30d(Indicator[float]):
    """The last 24 h exactly, what is older every tenth minute, ten times, in 512 bins.

    ``bin_width`` in the series' own unit; None: magnitudes, in bins of 4.1 % from 1e-8 to 10. An older value is off by
    at most half a bin; those in x's own bin count half, so the bins cost at most half their share of all values.
    """

    ABOUT = About(
        id="percentile_30d",
        inputs=(Input("x", "any", signed=True),),
        unit="share in [0, 1]",
        formula="(count below + 0.5 * count equal) / count, over the minutes completed before",
        window="30 days of minute values, at least 60; beyond 24 h one in ten, in bins of 0.005",
        null="under 60 values; running minute empty",
        wickra=None,
        differences="",
    )
    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_minutes")
    __slots__ = ("_minutes",)

    def __init__(self, bin_width: float | None = 0.005) -> None:
        super().__init__()
        if bin_width is not None and not bin_width > 0.0:
            raise ValueError(f"bins of {bin_width}")
        bins = LogarithmicBins() if bin_width is None else LinearBins(bin_width)
        self._minutes = Minutes(History(bins, magnitude=bin_width is None))

    @property
    def value(self) -> float | None:
        x = self._minutes.now
        return None if x is None else self._minutes.history.percentile(x)

    @property
    def ready(self) -> bool:
        return self._minutes.history.n >= LEAST_VALUES

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._minutes.update(t_ms, x[0])
