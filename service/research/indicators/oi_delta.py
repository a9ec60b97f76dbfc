"""Change of open interest in coins."""

from __future__ import annotations

from service.research.indicators.contract import About, Input
from service.research.indicators.windowed import MINUTE_MS, SECOND_MS, Change


class OiDelta(Change[float]):
    """Coins of positions opened (+) or closed (-) over the window. In coins, so the price cancels."""

    ABOUT = About(
        id="oi_delta",
        inputs=(Input("oi", "coins"),),
        unit="coins",
        formula="oi(T) - oi(T-w)",
        window="5 min of 1 s",
        null="window not covered or without a start; running slot empty",
        wickra="OpenInterestDelta",
        differences="there from tick to tick; the same with a window of one slot",
    )
    __slots__ = ()

    def __init__(self, window_ms: int = 5 * MINUTE_MS, step_ms: int = SECOND_MS) -> None:
        super().__init__(window_ms, step_ms)

    def between(self, now: tuple[float, ...], start: tuple[float, ...]) -> float | None:
        return now[0] - start[0]
