"""Open interest over traded volume."""

from __future__ import annotations

from typing import ClassVar

from service.formulas import ratio
from service.research.indicators.contract import About, Indicator, Input
from service.research.indicators.slots import Flows
from service.research.indicators.windowed import DAY_MS, MINUTE_MS


class OiToVolume(Indicator[float]):
    """How many windows of trading the open positions are: high means held, low means turned over."""

    ABOUT = About(
        id="oi_to_volume",
        inputs=(Input("oi", "coins"), Input("taker_buy", "coins"), Input("taker_sell", "coins")),
        unit="ratio",
        formula="oi(T) / (sum of taker_buy + sum of taker_sell over the window)",
        window="24 h of 1 min",
        null="window not covered; no oi in the newest update; volume 0",
        wickra="OiToVolumeRatio",
        differences="there over the volume of the newest tick alone; 0 without volume",
    )
    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_flows", "_oi")
    __slots__ = ("_flows", "_oi")

    def __init__(self, window_ms: int = DAY_MS, step_ms: int = MINUTE_MS) -> None:
        super().__init__()
        self._flows = Flows(window_ms, step_ms)
        self._oi: float | None = None

    @property
    def value(self) -> float | None:
        if not self.ready or self._oi is None:
            return None
        buys, sells = self._flows.sums()
        return ratio(self._oi, buys + sells)

    @property
    def ready(self) -> bool:
        return self._flows.covered

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._oi, buy, sell = x
        self._flows.update(t_ms, buy, sell)
