"""Closes of price and open interest on a UTC grid: nine days of hours, a day of 300 s (docs/signal.md section 4)."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, NamedTuple, Protocol

from service.model import Consensus
from service.state import Plain, Stateful
from service.statistics import fold

HOUR_MS = 3_600_000
RETURNS = 24
LEAST_RETURNS = 20
WEEK_HOURS = 168
LEAST_CHANGES = 72  # hourly ones that a scale is made of
KEPT_HOURS = 216  # a week of changes up to a day ago, and what a clock may be set back by
GRID_MS = 300_000
GRID_TAIL_MS = 60_000  # a close is at most this old: a back-filled sample comes once a minute
KEPT_GRID = 24 * 12 + 4  # a day, its two ends, and two that a clock may be set back by


class Row(Protocol):
    """What is read of a ``PastHour``: a full UTC hour in ms, its price, ln of an open-interest index of its own."""

    @property
    def ts(self) -> int: ...
    @property
    def price(self) -> float: ...
    @property
    def ln_oi(self) -> float: ...


class Close(NamedTuple):
    """``ln_price`` and ``ln_oi_index`` of a close."""

    ln_price: float
    ln_oi: float


class Closes(Stateful):
    """The last sample with quorum of each grid step, among those of its last ``tail_ms``, for ``kept`` steps.

    The step that ends at t holds the samples in (t - tail_ms, t]: a sample on the grid closes the step it ends.
    """

    STATE = ("_ln_oi", "_ln_price", "_newest")
    __slots__ = ("_kept", "_ln_oi", "_ln_price", "_newest", "_step_ms", "_tail_ms")

    def __init__(self, step_ms: int, tail_ms: int, kept: int) -> None:
        self._step_ms, self._tail_ms, self._kept = step_ms, tail_ms, kept
        # By step % kept, the running one as it stands. NaN: no close.
        self._ln_price = array("d", [math.nan]) * kept
        self._ln_oi = array("d", [math.nan]) * kept
        self._newest: int | None = None  # the running step, by its end over step_ms

    def update(self, sample: Consensus) -> None:
        """Every sample, in time order."""
        step = -(-sample.ts // self._step_ms)
        if self._newest is None or step > self._newest:
            skipped = self._kept if self._newest is None else min(step - self._newest, self._kept)
            for empty in range(step - skipped + 1, step + 1):
                self._ln_price[empty % self._kept] = self._ln_oi[empty % self._kept] = math.nan
            self._newest = step
        if sample.quorum and sample.price is not None and step * self._step_ms - sample.ts < self._tail_ms:
            slot = self._newest % self._kept
            self._ln_price[slot], self._ln_oi[slot] = math.log(sample.price), sample.ln_oi_index

    def at(self, step: int) -> Close | None:
        """The close of the step that ends at ``step`` * step_ms; None if there is none, or it is kept no longer."""
        if self._newest is None or not self._newest - self._kept < step <= self._newest:
            return None
        ln_price, ln_oi = self._ln_price[step % self._kept], self._ln_oi[step % self._kept]
        return None if math.isnan(ln_price) or math.isnan(ln_oi) else Close(ln_price, ln_oi)

    def reanchor(self, delta_ms: int) -> None:
        """The service clock moved: steps are shifted whole."""
        steps = round(delta_ms / self._step_ms)
        if self._newest is None or steps == 0:
            return
        kept = range(self._newest - self._kept + 1, self._newest + 1)
        for column in (self._ln_price, self._ln_oi):
            before = column[:]
            for step in kept:
                column[(step + steps) % self._kept] = before[step % self._kept]
        self._newest += steps

    def load(self, plain: Plain) -> None:
        super().load(plain)
        self._ln_price, self._ln_oi = self._fitted(self._ln_price), self._fitted(self._ln_oi)

    def _fitted(self, stored: array[float]) -> array[float]:
        """The newest of ``stored`` in as many slots as there are now: earlier versions kept fewer."""
        if len(stored) == self._kept:
            return stored
        if len(stored) == 0:
            raise ValueError("no closes, expected at least one slot")
        fitted = array("d", [math.nan]) * self._kept
        if self._newest is not None:
            for step in range(self._newest - min(len(stored), self._kept) + 1, self._newest + 1):
                fitted[step % self._kept] = stored[step % len(stored)]
        return fitted


class GridCloses(Closes):
    """A day of closes on the grid of 300 s: where the windows of 4 h and 24 h begin."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(GRID_MS, GRID_TAIL_MS, KEPT_GRID)


class HourlyCloses(Closes):
    """Nine days of UTC hours: volatility_24h, the change over 7 days, and the scales of the windows of 4 h and 24 h."""

    STORED: ClassVar = {"_ln_price": "_closes", "_newest": "_hour"}
    LATER: ClassVar = frozenset({"_ln_oi"})
    __slots__ = ("_read", "_scales", "_value")

    def __init__(self) -> None:
        super().__init__(HOUR_MS, HOUR_MS, KEPT_HOURS)
        self._forget()

    def _forget(self) -> None:
        """What was made of closes that are others now."""
        self._read: int | None = None  # the last completed hour that _value is of
        self._value: float | None = None
        self._scales: dict[int, tuple[int, Close | None]] = {}  # window in hours -> (last hour it is of, scale)

    def fill(self, hours: Sequence[Row], offset: float) -> None:
        """Closes of completed hours from published history, where there is none of one's own.

        ``offset``: what makes their ln_oi comparable with ln_oi_index. A price of one's own may stand beside an open
        interest that is filled: each is a series of its own.
        """
        if self._newest is None:
            return
        for row in hours:
            hour = row.ts // HOUR_MS
            if not self._newest - self._kept < hour < self._newest:
                continue
            slot = hour % self._kept
            if math.isnan(self._ln_price[slot]):
                self._ln_price[slot] = math.log(row.price)
            if math.isnan(self._ln_oi[slot]):
                self._ln_oi[slot] = row.ln_oi + offset
        self._forget()

    def volatility_24h(self, ts: int) -> float | None:
        """Root of the sum of squared log returns between consecutive closes of the last 24 completed hours at ``ts``,
        the time of the newest sample; a fraction a day. A missing return adds nothing; None under 20 of 24."""
        completed = ts // HOUR_MS
        if completed != self._read:
            squares = self._squares(self._ln_price, completed, RETURNS)
            self._read = completed
            self._value = math.sqrt(fold(squares)) if len(squares) >= LEAST_RETURNS else None
        return self._value

    def change_7d(self, ts: int, sample: Consensus) -> float | None:
        """ln_oi_index now less that of the close of the full hour 7 days before the last one; None without either."""
        if self._newest is None or not sample.quorum:
            return None
        hour = ts // HOUR_MS - WEEK_HOURS
        if not self._newest - self._kept < hour <= self._newest:
            return None
        before = self._ln_oi[hour % self._kept]
        return None if math.isnan(before) else sample.ln_oi_index - before

    def scale(self, ts: int, window_h: int) -> Close | None:
        """Root mean squares of the hourly log changes of price and open interest in the 168 hours that end a window
        before ``ts``; None under 72 of either. It is made anew once an hour."""
        last = ts // HOUR_MS - window_h
        known = self._scales.get(window_h)
        if known is None or known[0] != last:
            known = self._scales[window_h] = (last, self._scale(last))
        return known[1]

    def _scale(self, last: int) -> Close | None:
        prices = self._squares(self._ln_price, last, WEEK_HOURS)
        levels = self._squares(self._ln_oi, last, WEEK_HOURS)
        if min(len(prices), len(levels)) < LEAST_CHANGES:
            return None
        return Close(math.sqrt(fold(prices) / len(prices)), math.sqrt(fold(levels) / len(levels)))

    def _squares(self, column: array[float], last: int, count: int) -> list[float]:
        """Of the known changes between consecutive ones of the ``count`` hours up to ``last``, oldest first."""
        closes = [column[hour % self._kept] for hour in range(last - count, last + 1)]
        changes = [after - before for before, after in pairwise(closes)]
        return [change**2 for change in changes if not math.isnan(change)]

    def reanchor(self, delta_ms: int) -> None:
        super().reanchor(delta_ms)
        self._forget()

    def load(self, plain: Plain) -> None:
        super().load(plain)
        self._forget()
