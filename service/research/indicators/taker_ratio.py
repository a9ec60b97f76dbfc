"""Taker buys over taker sells."""

from __future__ import annotations

from typing import ClassVar

from service.formulas import ratio
from service.research.indicators.contract import About, Indicator, Input
from service.research.indicators.slots import Flows
from service.research.indicators.windowed import MINUTE_MS, SECOND_MS


class TakerRatio(Indicator[float]):
    """Who trades at the market: above 1 the buyers."""

    ABOUT = About(
        id="taker_ratio",
        inputs=(Input("taker_buy", "coins"), Input("taker_sell", "coins")),
        unit="ratio",
        formula="sum of taker_buy / sum of taker_sell over the window",
        window="5 min of 10 s",
        null="window not covered; no sells",
        wickra="TakerBuySellRatio",
        differences="there of the newest tick alone; 0 without sells, which is also what no buys give",
    )
    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_flows")
    __slots__ = ("_flows",)

    def __init__(self, window_ms: int = 5 * MINUTE_MS, step_ms: int = 10 * SECOND_MS) -> None:
        super().__init__()
        self._flows = Flows(window_ms, step_ms)

    @property
    def value(self) -> float | None:
        return ratio(*self._flows.sums()) if self.ready else None

    @property
    def ready(self) -> bool:
        return self._flows.covered

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._flows.update(t_ms, *x)
