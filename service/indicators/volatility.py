"""Realised volatility: the root of a day's sum of squared one-minute log returns."""

from __future__ import annotations

import math
from array import array

from service.indicators.contract import Level, feeds_a_day
from service.indicators.trailing import LEAST_VALUES, LogarithmicBins, Trailing
from service.model import Consensus
from service.state import Plain
from service.statistics import DAY_MINUTES

_RETURNS = DAY_MINUTES - 1  # between the 1,440 minutes that end with the measured one
_UNITS = 1 << 1074  # of the smallest positive float in 1


class Volatility(Level):
    """sqrt(sum r^2 * 1440 / count) over the returns between consecutive minutes of the 24 h up to a minute.

    Minutes are fed with their last price. Every minute since the first has a volatility, with or without a price of
    its own. The level now is that of the last completed minute, which is therefore kept out of its own
    statistics until the next one is complete. The sum is kept as a whole number (every float is a multiple of 2^-1074):
    it is exact, nothing drifts.
    """

    NAME = "volatility"
    FLOOR = 1e-9
    STATE = ("_count", "_counted", "_minute", "_now", "_price", "_price_minute", "_shift", "_squares", "history")
    __slots__ = ("_count", "_counted", "_minute", "_now", "_price", "_price_minute", "_shift", "_squares", "_sum")

    def __init__(self) -> None:
        super().__init__(Trailing(LogarithmicBins()))
        self._squares = array("d", bytes(8 * _RETURNS))  # by (minute - shift) % size; 0 where there is no return
        self._counted = array("B", bytes(_RETURNS))  # 1 where there is one
        self._count = 0  # of returns
        self._sum = 0  # of the squares, in units of 2^-1074
        self._shift = 0
        self._minute: int | None = None  # the last completed minute
        self._now: float | None = None  # its volatility
        self._price: float | None = None  # last price of a minute
        self._price_minute = 0

    def of(self, sample: Consensus) -> float | None:
        return sample.price

    def value(self, sample: Consensus) -> float | None:
        return self._now if feeds_a_day(sample) else None

    @property
    def ready(self) -> bool:
        return self.history.n >= LEAST_VALUES

    def hold(self, first: int, until: int, x: float | None) -> None:
        self.advance(first)
        self._complete(first, until, x)

    def load(self, plain: Plain) -> None:
        super().load(plain)
        self._sum = sum([_exactly(square) for square in self._squares])  # integers

    def advance(self, now: int) -> None:
        if self._minute is not None and self._minute < now - 1:
            self._complete(self._minute + 1, min(now, self._minute + 1 + DAY_MINUTES), None)
            self._minute = now - 1  # after a day without prices there is nothing left to follow
        super().advance(now)

    def reanchor(self, minutes: int) -> None:
        super().reanchor(minutes)
        self._shift += minutes
        self._price_minute += minutes
        if self._minute is not None:
            self._minute += minutes

    def _complete(self, first: int, until: int, price: float | None) -> None:
        """Make each minute of [first, until) the last completed one, with this price; the volatility of the one before
        becomes a minute value. Where it stays the same, as while a price is held, the values are entered together."""
        since, now = first if self._minute is None else self._minute, self._now
        for minute in range(first, until):
            self._measure(minute, price)
            if self._now != now:
                self._keep(since, minute, now)
                since, now = minute, self._now
        self._keep(since, until - 1, now)

    def _keep(self, first: int, until: int, volatility: float | None) -> None:
        if volatility is not None and first < until:
            self.history.hold(first, until, volatility)

    def _measure(self, minute: int, price: float | None) -> None:
        slot = (minute - self._shift) % _RETURNS
        square, counted = 0.0, 0
        if price is not None:
            if self._price is not None and self._price_minute == minute - 1:
                counted = 1
                if price != self._price:
                    square = math.log(price / self._price) ** 2
            self._price, self._price_minute = price, minute
        self._minute = minute
        left, left_counted = self._squares[slot], self._counted[slot]
        if square == left and counted == left_counted:
            return  # what comes is what goes
        self._squares[slot], self._counted[slot] = square, counted
        self._sum += _exactly(square) - _exactly(left)
        self._count += counted - left_counted
        if self._count >= LEAST_VALUES:
            self._now = math.sqrt(self._sum / _UNITS * DAY_MINUTES / self._count)
        else:
            self._now = None


def _exactly(square: float) -> int:
    """``square`` in units of 2^-1074."""
    numerator, denominator = square.as_integer_ratio()
    return numerator * (_UNITS // denominator)
