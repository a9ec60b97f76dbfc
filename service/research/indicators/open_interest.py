"""Open interest: how it changes, against price and volume, and over venues that come and go."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import fsum
from typing import ClassVar

from service.formulas import change, log_change, ratio
from service.research.indicators.contract import About, Indicator, Input
from service.research.indicators.windows import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    Change,
    Flows,
    Levels,
    OverWindow,
    Row,
)
from service.statistics import fold


def _diverging(now: Row, start: Row) -> float | None:
    oi, price = change(now[0], start[0]), change(now[1], start[1])
    return None if oi is None or price is None else oi - price


def _weighted(levels: Levels) -> float | None:
    prices, coins = levels.window(0), levels.window(1)
    return ratio(fsum(price * oi for price, oi in zip(prices, coins, strict=True)), fsum(coins))


class OiToVolume(Indicator[float]):
    """How many windows of trading the open positions are: high means held, low means turned over."""

    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_flows", "_oi")
    __slots__ = ("_flows", "_oi")

    def __init__(self, about: About, window_ms: int, step_ms: int) -> None:
        super().__init__(about)
        self._flows = Flows(window_ms, step_ms)
        self._oi: float | None = None

    @property
    def value(self) -> float | None:
        if not self.ready or self._oi is None:
            return None
        buys, sells = self._flows.sums()
        return ratio(self._oi, buys + sells)

    @property
    def ready(self) -> bool:
        return self._flows.covered

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._oi, buy, sell = x
        self._flows.update(t_ms, buy, sell)


class ChainLinkedOi(Indicator[float]):
    """Log change of a chain-linked index over the window. From one sample to the next only the instruments of both
    count, at the earlier coins per contract: an instrument that appears or vanishes, and the price in the coins of an
    inverse contract, move nothing.

    ``venues``: one name per instrument, in the order of the inputs. A sample with fewer than ``quorum`` venues is left
    out: the next one links to the one before it. Where two samples share too little to be linked, or a sum is 0, the
    chain breaks, and the window begins anew.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_before", "_index", "_levels")
    __slots__ = ("_before", "_index", "_levels", "_quorum", "_venues")

    def __init__(self, about: About, venues: Sequence[str], quorum: int, window_ms: int, step_ms: int) -> None:
        super().__init__(about)
        self._venues = tuple(venues)
        self.inputs = tuple(
            Input(f"{item.name}_{number}", item.unit)
            for number in range(1, len(self._venues) + 1)
            for item in about.inputs
        )
        self._quorum = quorum
        self._index = 0.0  # ln of the index
        self._before: list[list[float] | None] = [None] * len(self._venues)  # contracts and coins of the last sample
        self._levels = Levels(window_ms, step_ms)

    @property
    def value(self) -> float | None:
        ends = self._levels.ends
        return None if ends is None else ends[0][0] - ends[1][0]

    @property
    def ready(self) -> bool:
        return self._levels.begun

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


OPEN_INTEREST = (
    # Coins of positions opened (+) or closed (-) over the window. In coins, so the price cancels.
    About(
        id="oi_delta",
        inputs=(Input("oi", "coins"),),
        unit="coins",
        formula="oi(T) - oi(T-w)",
        window="5 min of 1 s",
        null="window not covered or without a start; running slot empty",
        wickra="OpenInterestDelta",
        differences="there from tick to tick; the same with a window of one slot",
        make=partial(Change, between=lambda now, start: now[0] - start[0]),
        settings={"window_ms": 5 * MINUTE_MS, "step_ms": SECOND_MS},
    ),
    # Of one venue's figure: a venue that comes or goes moves a sum over venues, and this with it (chain_linked_oi does
    # not).
    About(
        id="oi_momentum",
        inputs=(Input("oi", "coins"),),
        unit="fraction",
        formula="oi(T) / oi(T-w) - 1",
        window="1 h of 1 min",
        null="window not covered or without a start; running slot empty; start 0",
        wickra="OpenInterestMomentum",
        differences="there in percent, over a count of ticks, and 0 from a start of 0",
        make=partial(Change, between=lambda now, start: change(now[0], start[0])),
        settings={"window_ms": HOUR_MS, "step_ms": MINUTE_MS},
    ),
    # By how much open interest outgrew the price: + while positions build into a falling price.
    About(
        id="oi_price_divergence",
        inputs=(Input("oi", "coins"), Input("price", "USD")),
        unit="fraction",
        formula="(oi(T) / oi(T-w) - 1) - (price(T) / price(T-w) - 1)",
        window="1 h of 1 min",
        null="window not covered or without a start; running slot empty; either start 0",
        wickra="OIPriceDivergence",
        differences="there over a count of ticks; from an oi of 0 its term counts as 0; a price of 0 is refused",
        make=partial(Change, between=_diverging),
        settings={"window_ms": HOUR_MS, "step_ms": MINUTE_MS},
    ),
    # Mean price over the window, each slot counting by the positions open then.
    About(
        id="oi_weighted_price",
        inputs=(Input("price", "USD"), Input("oi", "coins")),
        unit="USD",
        formula="sum of price * oi / sum of oi, over the slots",
        window="24 h of 1 min",
        null="window not covered; no open interest in it",
        wickra="OIWeighted",
        differences="there over all ticks since the start; the newest price while no open interest was seen",
        make=partial(OverWindow, of=_weighted, width=2),
        settings={"window_ms": DAY_MS, "step_ms": MINUTE_MS},
    ),
    About(
        id="oi_to_volume",
        inputs=(Input("oi", "coins"), Input("taker_buy", "coins"), Input("taker_sell", "coins")),
        unit="ratio",
        formula="oi(T) / (sum of taker_buy + sum of taker_sell over the window)",
        window="24 h of 1 min",
        null="window not covered; no oi in the newest update; volume 0",
        wickra="OiToVolumeRatio",
        differences="there over the volume of the newest tick alone; 0 without volume",
        make=OiToVolume,
        settings={"window_ms": DAY_MS, "step_ms": MINUTE_MS},
    ),
    About(
        id="chain_linked_oi",
        inputs=(Input("contracts", "contracts"), Input("contract_coins", "coins per contract")),
        unit="log change",
        formula="sum over the window's steps of ln(sum c(t) * k(t-1) / sum c(t-1) * k(t-1)), c contracts, k coins per "
        "contract, over the instruments of both samples",
        window="5 min of 1 s; inputs repeated for each instrument (three by default)",
        null="window not covered or without a start; running slot empty; chain broken within it",
        wickra=None,
        differences="",
        make=ChainLinkedOi,
        settings={"venues": ("a", "b", "c"), "quorum": 2, "window_ms": 5 * MINUTE_MS, "step_ms": SECOND_MS},
    ),
)
