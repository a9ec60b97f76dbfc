"""Change of open interest over several venues that come and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from service.formulas import log_change
from service.indicators.library.contract import About, Indicator, Input
from service.indicators.library.slots import Levels
from service.indicators.library.windowed import MINUTE_MS, SECOND_MS
from service.statistics import fold


class ChainLinkedOi(Indicator[float]):
    """Log change of a chain-linked index over the window. From one sample to the next only the instruments of both
    count, at the earlier coins per contract: an instrument that appears or vanishes, and the price in the coins of an
    inverse contract, move nothing.

    ``venues``: one name per instrument, in the order of the inputs. A sample with fewer than ``quorum`` venues is left
    out: the next one links to the one before it. Where two samples share too little to be linked, or a sum is 0, the
    chain breaks, and the window begins anew.
    """

    ABOUT = About(
        id="chain_linked_oi",
        inputs=(Input("contracts", "contracts"), Input("contract_coins", "coins per contract")),
        unit="log change",
        formula="sum over the window's steps of ln(sum c(t) * k(t-1) / sum c(t-1) * k(t-1)), c contracts, k coins per "
        "contract, over the instruments of both samples",
        window="5 min of 1 s; inputs repeated for each instrument (three by default)",
        null="window not covered or without a start; running slot empty; chain broken within it",
        wickra=None,
        differences="",
    )
    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_before", "_index", "_levels")
    __slots__ = ("_before", "_index", "_inputs", "_levels", "_quorum", "_venues")

    def __init__(
        self,
        venues: Sequence[str] = ("a", "b", "c"),
        quorum: int = 2,
        window_ms: int = 5 * MINUTE_MS,
        step_ms: int = SECOND_MS,
    ) -> None:
        super().__init__()
        self._venues = tuple(venues)
        self._inputs = tuple(
            Input(f"{item.name}_{number}", item.unit)
            for number in range(1, len(self._venues) + 1)
            for item in self.ABOUT.inputs
        )
        self._quorum = quorum
        self._index = 0.0  # ln of the index
        self._before: list[list[float] | None] = [None] * len(self._venues)  # contracts and coins of the last sample
        self._levels = Levels(window_ms, step_ms)

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self._inputs

    @property
    def value(self) -> float | None:
        now, start = self._levels.now, self._levels.start
        return now[0] - start[0] if self.ready and now is not None and start is not None else None

    @property
    def ready(self) -> bool:
        return self._levels.covered and self._levels.start is not None

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        sample: list[list[float] | None] = [
            None if contracts is None or coins is None else [contracts, coins]
            for contracts, coins in zip(x[::2], x[1::2], strict=True)
        ]
        if self._held(sample) < self._quorum:
            self._levels.update(t_ms, None)
            return
        both = [pair if before is not None else None for pair, before in zip(sample, self._before, strict=True)]
        pairs = [
            (pair[0] * before[1], before[0] * before[1])
            for pair, before in zip(sample, self._before, strict=True)
            if pair is not None and before is not None
        ]
        link = log_change(fold([now for now, _ in pairs]), fold([then for _, then in pairs]))
        if link is not None and self._held(both) >= self._quorum:
            self._index += link
        else:
            self._levels.clear()
        self._before = sample
        self._levels.update(t_ms, (self._index,))

    def _held(self, sample: list[list[float] | None]) -> int:
        """How many venues have an instrument in it."""
        return len(dict.fromkeys(venue for venue, pair in zip(self._venues, sample, strict=True) if pair is not None))
