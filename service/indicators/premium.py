"""Premium: how far the perpetual trades from its index."""

from __future__ import annotations

from service.formulas import change
from service.indicators.contract import Level
from service.indicators.trailing import History
from service.model import Consensus


class Premium(Level):
    """price / index - 1, over 24 h."""

    NAME = "premium"
    FLOOR = 1e-5
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(History())

    def of(self, sample: Consensus) -> float | None:
        if sample.price is None or sample.index is None:
            return None
        return change(sample.price, sample.index)
