"""Estimated leverage ratio: open interest over the coins that back it."""

from __future__ import annotations

from typing import ClassVar

from service.formulas import ratio
from service.research.indicators.contract import About, Indicator, Input
from service.research.indicators.windows import HOUR_MS

RESERVE_HOLD_MS = 36 * HOUR_MS  # a daily figure with its publication delay, as docs/signal.md section 7 counts it stale


class LeverageRatio(Indicator[float]):
    """oi / reserve. The reserve is a slow base: one figure stays in use until the next, or until it is too old."""

    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_oi", "_reserve", "_reserve_ms")
    __slots__ = ("_hold_ms", "_oi", "_reserve", "_reserve_ms")

    def __init__(self, about: About, hold_ms: int) -> None:
        super().__init__(about)
        self._hold_ms = hold_ms
        self._oi: float | None = None
        self._reserve: float | None = None
        self._reserve_ms = 0

    @property
    def value(self) -> float | None:
        if self._oi is None or self._reserve is None or not self.ready:
            return None
        return ratio(self._oi, self._reserve)

    @property
    def ready(self) -> bool:
        """Whether there is a reserve, no older than it may be."""
        if self._reserve is None or self._newest_ms is None:
            return False
        return self._newest_ms - self._reserve_ms <= self._hold_ms

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._oi, reserve = x
        if reserve is not None:
            self._reserve, self._reserve_ms = reserve, t_ms


LEVERAGE = (
    About(
        id="elr",
        inputs=(Input("oi", "coins"), Input("reserve", "coins")),
        unit="ratio",
        formula="oi(T) / newest reserve",
        window="reserve held for 36 h",
        null="no oi in the newest update; no reserve within 36 h; reserve 0",
        wickra="EstimatedLeverageRatio",
        differences="there both on every tick; 0 over a reserve of 0; a negative oi is accepted",
        make=LeverageRatio,
        settings={"hold_ms": RESERVE_HOLD_MS},
    ),
)
