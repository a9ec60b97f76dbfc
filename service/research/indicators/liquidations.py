"""Liquidation features: who is closed by force."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from service.formulas import ratio
from service.research.indicators.contract import About, Indicator, Input
from service.research.indicators.slots import Flows
from service.research.indicators.windowed import MINUTE_MS, SECOND_MS


class Liquidated(NamedTuple):
    """Coins over a window. ``net`` and ``imbalance`` are + when shorts were bought back, which pushes up."""

    long: float
    short: float
    net: float
    total: float
    imbalance: float | None  # None: nothing was liquidated


class Liquidations(Indicator[Liquidated]):
    """A lower bound: venues throttle and conflate what they report (docs/signal.md section 4)."""

    ABOUT = About(
        id="liquidations",
        inputs=(Input("long", "coins liquidated"), Input("short", "coins liquidated")),
        unit="coins; imbalance a fraction in [-1, 1]",
        formula="sums of long and short over the window; net = short - long; total = long + short; "
        "imbalance = net / total",
        window="5 min of 10 s",
        null="window not covered; imbalance alone while total is 0",
        wickra="LiquidationFeatures",
        differences="there of the newest tick alone; net and imbalance + when longs were sold; imbalance 0 of nothing",
    )
    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_flows")
    __slots__ = ("_flows",)

    def __init__(self, window_ms: int = 5 * MINUTE_MS, step_ms: int = 10 * SECOND_MS) -> None:
        super().__init__()
        self._flows = Flows(window_ms, step_ms)

    @property
    def value(self) -> Liquidated | None:
        if not self.ready:
            return None
        long, short = self._flows.sums()
        return Liquidated(long, short, short - long, long + short, ratio(short - long, long + short))

    @property
    def ready(self) -> bool:
        return self._flows.covered

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._flows.update(t_ms, *x)
