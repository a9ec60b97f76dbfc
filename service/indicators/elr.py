"""Leverage: ln of the chain-linked open-interest index. In coins, so the price cancels; a venue that drops out or
returns does not move it. Every statistic of ELR reads this, whatever the published variant divides by."""

from __future__ import annotations

from service.indicators.contract import Level
from service.indicators.trailing import History, LinearBins
from service.model import Consensus


class Elr(Level):
    """ln_oi_index; older values in linear bins of 0.5 %."""

    NAME = "elr"
    FLOOR = 1e-3
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(History(LinearBins(0.005)))

    def of(self, sample: Consensus) -> float | None:
        return sample.ln_oi_index

    def change_24h(self, now: int, sample: Consensus) -> float | None:
        """ln_oi_index now less that of the minute exactly 24 h before minute ``now``; None if either is missing."""
        before = self.history.recent.at(now - self.history.recent.span)
        return sample.ln_oi_index - before if sample.quorum and before is not None else None
