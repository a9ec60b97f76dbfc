"""Relative change of open interest."""

from __future__ import annotations

from service.formulas import change
from service.research.indicators.contract import About, Input
from service.research.indicators.windowed import HOUR_MS, MINUTE_MS, Change


class OiMomentum(Change[float]):
    """oi(T) / oi(T-w) - 1. Of one venue's figure: a venue that comes or goes moves a sum over venues, and this with it
    (:class:`~service.research.indicators.chain_linked_oi.ChainLinkedOi` does not)."""

    ABOUT = About(
        id="oi_momentum",
        inputs=(Input("oi", "coins"),),
        unit="fraction",
        formula="oi(T) / oi(T-w) - 1",
        window="1 h of 1 min",
        null="window not covered or without a start; running slot empty; start 0",
        wickra="OpenInterestMomentum",
        differences="there in percent, over a count of ticks, and 0 from a start of 0",
    )
    __slots__ = ()

    def __init__(self, window_ms: int = HOUR_MS, step_ms: int = MINUTE_MS) -> None:
        super().__init__(window_ms, step_ms)

    def between(self, now: tuple[float, ...], start: tuple[float, ...]) -> float | None:
        return change(now[0], start[0])
