"""Who trades at the market, and who is made to: taker flow and liquidations of the windows (docs/signal.md section 4).

Coins are summed in buckets of ten seconds, the bucket that ends at tick T holding the samples in (T-10 s, T]. A venue
counts in the samples at which it is in V. Over the venues both are weighed by open interest, which is vetted, not by
volume, which is not.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from statistics import median
from typing import TypeAlias

from service.indicators.scale import HALF_LIFE_S, READY_UPDATES, STEP_S
from service.model import Consensus
from service.state import Stateful
from service.statistics import EwMeanSquare, fold

BUCKET_S = 10
WINDOWS_S = (60, 300)
LONGEST_S = 3_600
DAY_S = 86_400
TAKER_FLOOR = 0.02  # an imbalance of one venue's size in fifty is never unusual
_KEEP = 32  # entries that may be out of reach before they are cut off

# As the fields of WindowReading: buys, sells, imbalance, z; longs, shorts, imbalance, intensity.
Taker: TypeAlias = tuple[float | None, float | None, float | None, float | None]
Forced: TypeAlias = tuple[float | None, float | None, float | None, float | None]
NOTHING = (None, None, None, None)


class Buckets(Stateful):
    """Two running amounts in buckets labelled by their ends (seconds, rising); empty buckets are left out."""

    STATE = ("_ends", "_left", "_right")
    __slots__ = ("_ends", "_keep_s", "_left", "_right")

    def __init__(self, keep_s: int) -> None:
        self._keep_s = keep_s
        self._ends = array("q")
        self._left, self._right = array("d"), array("d")

    def add(self, end: int, left: float, right: float) -> None:
        """Add to the bucket that ends at second ``end``, the newest or a later one."""
        if len(self._ends) > 0 and self._ends[-1] == end:
            self._left[-1] += left
            self._right[-1] += right
            return
        old = bisect_right(self._ends, end - self._keep_s)
        if old > 0:
            del self._ends[:old], self._left[:old], self._right[:old]
        self._ends.append(end)
        self._left.append(left)
        self._right.append(right)

    def after(self, second: int) -> tuple[float, float]:
        """The sums over the buckets that end after ``second``."""
        first = bisect_right(self._ends, second)
        if first == len(self._ends):
            return 0.0, 0.0
        return fold(self._left[first:]), fold(self._right[first:])

    def count(self, second: int) -> int:
        """How many buckets end after ``second``."""
        return len(self._ends) - bisect_right(self._ends, second)

    def reanchor(self, seconds: int, newest: int) -> None:
        """Shift the ends. The bucket still open ends with ``newest``, the sample before the shift: later ones have
        ends of their own on the new grid."""
        if len(self._ends) > 0 and self._ends[-1] > newest:
            self._ends[-1] = newest
        for position, end in enumerate(self._ends):
            self._ends[position] = end + seconds


class TakerScale(Stateful):
    """Mean square of a window's taker imbalance with a half-life of 1 h, as it was known before the window began."""

    STATE = ("_seconds", "_square", "_updates", "_values")
    __slots__ = ("_seconds", "_square", "_updates", "_values", "_window_s")

    def __init__(self, window_s: int) -> None:
        self._window_s = window_s
        self._square = EwMeanSquare(HALF_LIFE_S, STEP_S)
        self._seconds = array("q")  # of the ticks that updated
        self._updates = array("q")  # how many updates by then
        self._values = array("d")

    def update(self, second: int, imbalance: float) -> None:
        self._square.update(imbalance * imbalance)
        self._seconds.append(second)
        self._updates.append(self._square.n)
        self._values.append(self._square.value)
        # The latest one at or before the window's start stays, however long ago.
        if self._seconds[min(_KEEP, len(self._seconds) - 1)] <= second - self._window_s:
            del self._seconds[:_KEEP], self._updates[:_KEEP], self._values[:_KEEP]

    def z(self, second: int, imbalance: float) -> float | None:
        """The imbalance of the window up to ``second`` over the scale at its start; None under 60 updates."""
        at = bisect_right(self._seconds, second - self._window_s) - 1
        if at < 0 or self._updates[at] < READY_UPDATES:
            return None
        return imbalance / max(TAKER_FLOOR, math.sqrt(self._values[at]))

    def reanchor(self, seconds: int) -> None:
        for position, second in enumerate(self._seconds):
            self._seconds[position] = second + seconds


class Pressure(Stateful):
    """Taker flow and liquidations of one symbol. Venues that never sent any cost nothing."""

    STATE = ("_heard", "_liquidated", "_scales", "_taker", "_totals")
    __slots__ = STATE

    def __init__(self) -> None:
        self._taker: dict[str, Buckets] = {}  # by venue: buys, sells
        self._liquidated: dict[str, Buckets] = {}  # by venue: longs, shorts
        self._totals = Buckets(LONGEST_S)  # longs, shorts of all venues as they were counted
        self._scales = [TakerScale(window_s) for window_s in WINDOWS_S]
        self._heard: int | None = None  # second of the last sample with a liquidation of any venue

    def make(self, name: str, key: str) -> Stateful | None:
        return Buckets(WINDOWS_S[-1])

    def observe(self, sample: Consensus) -> None:
        """Every sample of the symbol, in time order."""
        second = sample.ts // 1000
        for view in sample.venues:
            long, short = view.liquidated_long_coins, view.liquidated_short_coins
            if long > 0.0 or short > 0.0:
                self._heard = second
                if view.fresh:
                    end = _end(second)
                    self._of(self._liquidated, view.venue).add(end, long, short)
                    self._totals.add(end, long, short)
            buy, sell = view.taker_buy_coins, view.taker_sell_coins
            if view.fresh and (buy > 0.0 or sell > 0.0):
                self._of(self._taker, view.venue).add(_end(second), buy, sell)

    @staticmethod
    def _of(venues: dict[str, Buckets], venue: str) -> Buckets:
        buckets = venues.get(venue)
        if buckets is None:
            buckets = venues[venue] = Buckets(WINDOWS_S[-1])
        return buckets

    def taker(self, sample: Consensus, second: int, update: bool) -> list[Taker]:
        """Of each window up to the newest sample's ``second``; ``update``: enter the imbalances in the scales."""
        readings: list[Taker] = []
        for window_s, scale in zip(WINDOWS_S, self._scales, strict=True):
            buy, sell, imbalance, _ = _over_venues(self._taker, sample, second - window_s)
            if imbalance is None:
                readings.append(NOTHING)
                continue
            if update:
                scale.update(second, imbalance)
            readings.append((buy, sell, imbalance, scale.z(second, imbalance)))
        return readings

    def liquidated(self, sample: Consensus, second: int) -> list[Forced]:
        """Of each window, and of 3600 s the totals alone. A balance of +1: only shorts were bought back."""
        readings: list[Forced] = []
        for window_s in WINDOWS_S:
            long, short, bought, intensity = _over_venues(self._liquidated, sample, second - window_s)
            readings.append((long, short, None if bought is None else 0.0 - bought, intensity))
        long, short = self._totals.after(second - LONGEST_S)
        readings.append((long, short, None, None) if long + short > 0.0 else NOTHING)
        return readings

    def heard(self, second: int) -> bool:
        """Whether a liquidation was received in the 24 h up to ``second``, from any venue."""
        return self._heard is not None and second - self._heard < DAY_S

    def reanchor(self, seconds: int, newest: int) -> None:
        """``newest``: second of the newest sample before the shift."""
        for buckets in (*self._taker.values(), *self._liquidated.values(), self._totals):
            buckets.reanchor(seconds, newest)
        for scale in self._scales:
            scale.reanchor(seconds)
        if self._heard is not None:
            self._heard += seconds


def _end(second: int) -> int:
    """The end of the bucket that the sample of ``second`` falls into."""
    return -(-second // BUCKET_S) * BUCKET_S


def _over_venues(venues: dict[str, Buckets], sample: Consensus, start: int) -> Forced:
    """Over the venues of V with any of the two amounts after ``start``: sums of both, their balance (left less right
    over both) weighed by open interest, and the median of both as a share of open interest. None: no such venue."""
    if not venues:
        return NOTHING
    lefts = rights = leaning = weights = 0.0
    shares: list[float] = []
    for view in sample.venues:
        coins = view.oi_coins
        if not view.fresh or coins is None or coins <= 0.0:
            continue  # no open interest weighs nothing
        buckets = venues.get(view.venue)
        if buckets is None:
            continue
        left, right = buckets.after(start)
        both = left + right
        if both > 0.0:
            lefts += left
            rights += right
            leaning += coins * ((left - right) / both)
            weights += coins
            shares.append(both / coins)
    if not shares:
        return NOTHING
    return lefts, rights, leaning / weights, median(shares)
