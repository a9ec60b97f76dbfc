"""Price weighted by open interest."""

from __future__ import annotations

from math import fsum

from service.formulas import ratio
from service.research.indicators.contract import About, Input
from service.research.indicators.windowed import DAY_MS, MINUTE_MS, OverWindow


class OiWeightedPrice(OverWindow[float]):
    """Mean price over the window, each slot counting by the positions open then."""

    ABOUT = About(
        id="oi_weighted_price",
        inputs=(Input("price", "USD"), Input("oi", "coins")),
        unit="USD",
        formula="sum of price * oi / sum of oi, over the slots",
        window="24 h of 1 min",
        null="window not covered; no open interest in it",
        wickra="OIWeighted",
        differences="there over all ticks since the start; the newest price while no open interest was seen",
    )
    __slots__ = ()

    def __init__(self, window_ms: int = DAY_MS, step_ms: int = MINUTE_MS) -> None:
        super().__init__(window_ms, step_ms)

    @property
    def value(self) -> float | None:
        if not self.ready:
            return None
        prices, coins = self._levels.window(0), self._levels.window(1)
        return ratio(fsum(price * oi for price, oi in zip(prices, coins, strict=True)), fsum(coins))
