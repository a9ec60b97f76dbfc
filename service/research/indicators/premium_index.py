"""Premium index: the basis that stood for a while."""

from __future__ import annotations

from math import fsum

from service.formulas import change
from service.research.indicators.contract import About, Input, whole
from service.research.indicators.windowed import HOUR_MS, MINUTE_MS, OverWindow


class PremiumIndex(OverWindow[float]):
    """Mean of mark / index - 1 over the window's slots, as venues average it before they set funding."""

    ABOUT = About(
        id="premium_index",
        inputs=(Input("mark", "USD"), Input("index", "USD")),
        unit="fraction",
        formula="mean of the slots' mark / index - 1",
        window="1 h of 1 min",
        null="window not covered; an index of 0 is not observed",
        wickra="PerpetualPremiumIndex",
        differences="there of the newest tick alone, as FundingBasis; the same with a window of one slot",
    )
    __slots__ = ()

    def __init__(self, window_ms: int = HOUR_MS, step_ms: int = MINUTE_MS) -> None:
        super().__init__(window_ms, step_ms, width=1)

    @property
    def value(self) -> float | None:
        if not self.ready:
            return None
        premiums = self._levels.window()
        return fsum(premiums) / len(premiums)

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        prices = whole(x)
        premium = None if prices is None else change(*prices)
        self._levels.update(t_ms, None if premium is None else (premium,))
