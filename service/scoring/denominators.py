"""What the ratios divide by, as it comes in, and the daily means of a ratio (docs/signal.md section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Any

from service.state import Plain, Stateful
from service.statistics import fold

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
DAY_TICKS = 8_640
LEAST_TICKS = DAY_TICKS // 2  # of a day that counts
LEAST_HOURS = 12  # of one that is filled
LONGEST_DAYS = 30
FURTHEST_LN = 300.0
# name, the last so many completed days, least of them that count
AVERAGES = (("1d", 1, 1), ("7d", 7, 5), ("30d", LONGEST_DAYS, 21))


class DenominatorState(Stateful):
    """One base: coins by holder, with source and date of its own. Empty until the first one comes.

    A new one replaces it whole. ``changed``: for an hour of ticks after its coins or holders became others; the first
    one changes nothing, because there was no ratio before it.
    """

    STATE = ("_changed_at", "_new", "_shown", "as_of", "coins", "licence", "source", "stale_h")
    __slots__ = STATE

    def __init__(self) -> None:
        self.coins: dict[str, float] = {}
        self.as_of = 0
        self.source = ""
        self.licence = ""
        self.stale_h = 0.0
        self._new = False  # replaced since the last tick
        self._shown: list[list[Any]] = []  # holders and coins at the last tick, by name
        self._changed_at: int | None = None  # the first tick with other coins than the tick before

    def replace(
        self, coins: Sequence[tuple[str, float]], as_of: int, source: str, licence: str, stale_h: float
    ) -> None:
        """From the next tick on. Holders without coins are left out; with no coins at all nothing is replaced."""
        held = {name: amount for name, amount in coins if amount > 0}
        if not held:
            return
        self.coins = held
        self.as_of, self.source, self.licence, self.stale_h = as_of, source, licence, stale_h
        self._new = True

    def observe(self, ts: int) -> None:
        """A tick uses it."""
        if not self._new:
            return
        self._new = False
        before, self._shown = self._shown, [[name, amount] for name, amount in sorted(self.coins.items())]
        if before and before != self._shown:
            self._changed_at = ts

    @property
    def total(self) -> float | None:
        """All coins; None without a base."""
        return fold(self.coins.values()) if self.coins else None

    def changed(self, ts: int) -> bool:
        return self._changed_at is not None and ts - self._changed_at < HOUR_MS

    def stale(self, ts: int) -> bool:
        """Older than its source allows; it stays in use."""
        return len(self.coins) > 0 and ts - self.as_of > self.stale_h * HOUR_MS

    def described(self, ts: int) -> dict[str, Any] | None:
        """The ``base`` of a variant."""
        if not self.coins:
            return None
        return {
            "coins": self.total,
            "as_of": self.as_of,
            "age_h": (ts - self.as_of) / HOUR_MS,
            "source": self.source,
            "licence": self.licence,
        }

    def reanchor(self, shift_ms: int) -> None:
        """``as_of`` is a date, not a receipt: it stays."""
        if self._changed_at is not None:
            self._changed_at += shift_ms


def _index(ln_oi: float) -> float:
    """Of any ln_oi_index, a number that can be divided by."""
    return exp(max(-FURTHEST_LN, min(ln_oi, FURTHEST_LN)))


class DailyMeans(Stateful):
    """Means of a ratio over UTC days, and over the last of them. A day counts with half of its ticks; one that was not
    seen counts with half of its hours of published history, at the venues and the denominator of today.

    ``_filled``: [day, mean of the open-interest index]; ``_scale``: the ratio over that index at the last tick that
    counted.
    """

    STATE = ("_count", "_day", "_days", "_filled", "_scale", "_sum")
    LATER = frozenset({"_filled", "_scale"})
    __slots__ = (*STATE, "_means")

    def __init__(self) -> None:
        self._day: int | None = None  # the running day, since the epoch
        self._sum = 0.0
        self._count = 0  # ticks of the running day
        self._days: list[list[Any]] = []  # [day, mean] of the completed days that count, at most 30, oldest first
        self._filled: list[list[Any]] = []
        self._scale: float | None = None
        # Sums of the days seen and filled, and how many of each; until a day is over
        self._means: dict[str, tuple[float, int, float, int]] | None = None

    def observe(self, ts: int, value: float | None, weight: int = 1, ln_oi: float = 0.0) -> None:
        """A tick at ``ts``; None: without a value that counts. ``ln_oi``: of the chain-linked index. ``weight``: how
        many ticks it stands for."""
        day = ts // DAY_MS
        if self._day is None:
            self._day = day
        elif day > self._day:  # after a backward re-anchor ticks count for the running day
            if self._count >= LEAST_TICKS:
                self._days.append([self._day, self._sum / self._count])
            self._days = [entry for entry in self._days if entry[0] >= day - LONGEST_DAYS]
            self._filled = [entry for entry in self._filled if entry[0] >= day - LONGEST_DAYS]
            self._day, self._sum, self._count, self._means = day, 0.0, 0, None
        if value is not None:
            self._sum += weight * value
            self._count += weight
            self._scale = value / _index(ln_oi)

    def fill(self, hours: Sequence[tuple[int, float]]) -> None:
        """(UTC hour in ms, ``ln_oi`` of it) of published history, oldest first."""
        days: dict[int, list[float]] = {}
        for ts, ln_oi in hours:
            days.setdefault(ts // DAY_MS, []).append(_index(ln_oi))
        means = {day: fold(of) / len(of) for day, of in days.items() if len(of) >= LEAST_HOURS}
        self._filled = [[day, mean] for day, mean in sorted((dict(self._filled) | means).items())]
        self._means = None

    def means(self) -> dict[str, float | None]:
        """The last completed day, and means over the days that count among the last 7 and 30; None under 5 and 21."""
        if self._means is None:
            self._means = {name: self._sums(days) for name, days, _ in AVERAGES}
        return {name: self._mean(*self._means[name], least) for name, _, least in AVERAGES}

    def _sums(self, days: int) -> tuple[float, int, float, int]:
        if self._day is None:
            return 0.0, 0, 0.0, 0
        first = self._day - days
        seen = [(day, mean) for day, mean in self._days if day >= first]
        known = {day for day, _ in seen}
        filled = [mean for day, mean in self._filled if first <= day < self._day and day not in known]
        return fold([mean for _, mean in seen]), len(seen), fold(filled), len(filled)

    def _mean(self, seen: float, count: int, filled: float, filled_count: int, least: int) -> float | None:
        if self._scale is None:  # without a denominator nothing is known of other days either
            filled, filled_count = 0.0, 0
        elif filled_count > 0:
            seen += filled * self._scale
        days = count + filled_count
        return seen / days if days >= least else None

    def reanchor(self, shift_ms: int) -> None:
        """Whole days only: a day that was measured is not measured anew."""
        days = round(shift_ms / DAY_MS)
        if self._day is not None:
            self._day += days
        self._days = [[day + days, mean] for day, mean in self._days]
        self._filled = [[day + days, mean] for day, mean in self._filled]
        self._means = None

    def load(self, plain: Plain) -> None:
        super().load(plain)
        self._means = None
