"""Robust z-score of any series over 24 h of minutes."""

from __future__ import annotations

from typing import ClassVar

from service.indicators.trailing import LEAST_VALUES, History
from service.research.indicators.contract import About, Indicator, Input
from service.research.indicators.minutes import Minutes
from service.statistics import robust_z


class RobustZ(Indicator[float]):
    """Distance from the median in units of 1.4826 MAD. ``floor``: least MAD, in the series' own unit: a flat past gives
    0, not a division by 0, and what moves less than the floor is never unusual."""

    ABOUT = About(
        id="robust_z",
        inputs=(Input("x", "any", signed=True),),
        unit="robust standard deviations",
        formula="(x - median) / (1.4826 * max(MAD, floor)), over the minutes completed before",
        window="24 h of minute values, at least 60",
        null="under 60 values; running minute empty",
        wickra=None,
        differences="",
    )
    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_minutes")
    __slots__ = ("_floor", "_minutes")

    def __init__(self, floor: float = 1e-5) -> None:
        super().__init__()
        if not floor > 0.0:
            raise ValueError(f"floor {floor}: a flat past would be divided by 0")
        self._floor = floor
        self._minutes = Minutes(History())

    @property
    def value(self) -> float | None:
        x = self._minutes.now
        return (
            robust_z(x, *self._minutes.history.recent.middle(), self._floor) if self.ready and x is not None else None
        )

    @property
    def ready(self) -> bool:
        return len(self._minutes.history.recent) >= LEAST_VALUES

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._minutes.update(t_ms, x[0])
