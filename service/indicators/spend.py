"""Funding spend: what one side pays the other in 8 h, in coins."""

from __future__ import annotations

from service.indicators.contract import Level
from service.indicators.trailing import History
from service.model import Consensus

TINY = 1e-12  # coins: open interest of 0 leaves no scale of its own, and nothing is divided by 0


class Spend(Level):
    """funding_spend over 24 h. The MAD floor is a rate of 1e-5 on all open interest of the sample."""

    NAME = "spend"
    FLOOR = 1e-5
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(History())

    def of(self, sample: Consensus) -> float | None:
        return sample.funding_spend

    def floor(self, sample: Consensus) -> float:
        assert sample.oi_coins is not None  # a sample with a spend has quorum
        return max(self.FLOOR * sample.oi_coins, TINY)
