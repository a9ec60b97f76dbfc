"""Open interest against price."""

from __future__ import annotations

from service.formulas import change
from service.research.indicators.contract import About, Input
from service.research.indicators.windowed import HOUR_MS, MINUTE_MS, Change


class OiPriceDivergence(Change[float]):
    """By how much open interest outgrew the price: + while positions build into a falling price."""

    ABOUT = About(
        id="oi_price_divergence",
        inputs=(Input("oi", "coins"), Input("price", "USD")),
        unit="fraction",
        formula="(oi(T) / oi(T-w) - 1) - (price(T) / price(T-w) - 1)",
        window="1 h of 1 min",
        null="window not covered or without a start; running slot empty; either start 0",
        wickra="OIPriceDivergence",
        differences="there over a count of ticks; from an oi of 0 its term counts as 0; a price of 0 is refused",
    )
    __slots__ = ()

    def __init__(self, window_ms: int = HOUR_MS, step_ms: int = MINUTE_MS) -> None:
        super().__init__(window_ms, step_ms)

    def between(self, now: tuple[float, ...], start: tuple[float, ...]) -> float | None:
        oi, price = change(now[0], start[0]), change(now[1], start[1])
        return None if oi is None or price is None else oi - price
