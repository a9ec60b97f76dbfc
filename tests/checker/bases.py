"""What leverage divides by, as it comes in, and the daily means of one variant (section 7 of docs/signal.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.model import Denominator, PastHour

from .consensus import Sample
from .history import DAY, HOUR

BACKFILL_TICKS = 6
LEAST_TICKS = 4320  # of the 8640 of a day
LEAST_COVERAGE = 0.8
LEAST_ROWS = 12  # of the month before, in a day
MEANS = (("1d", 1, 1), ("7d", 7, 5), ("30d", 30, 21))  # name, days looked at, days needed


@dataclass
class Base:
    """One figure: ``parts`` coins by exchange, empty for a supply."""

    coins: float
    parts: dict[str, float]
    as_of: int
    source: str
    licence: str
    stale_h: float

    def same(self, other: Base) -> bool:
        """Of every exchange the same coins: else the ratio or those beside it step."""
        return self.coins == other.coins and self.parts == other.parts


class Bases:
    """The reserves and the supply of one symbol. ``changed_at``: the tick from which a base is another than before."""

    def __init__(self, first: Denominator | None = None) -> None:
        self.reserves: Base | None = None
        self.supply: Base | None = None
        self.changed_at: dict[str, int] = {}
        self._at_last_tick: dict[str, Base] = {}
        if first is not None:
            self.take(first)

    def take(self, item: Denominator) -> None:
        """Replaces what it carries."""
        if item.reserves:
            parts = dict(item.reserves)
            coins = sum(parts.values())
            self.reserves = Base(coins, parts, item.as_of, item.source, item.licence, item.reserve_stale_h)
        if item.supply is not None:
            self.supply = Base(item.supply, {}, item.as_of, item.source, item.licence, item.supply_stale_h)

    def tick(self, ts: int) -> None:
        """Notes which base differs from the one of the tick before; the first one there is differs from nothing."""
        for name, base in (("reserves", self.reserves), ("supply", self.supply)):
            if base is None:
                continue
            before = self._at_last_tick.get(name)
            if before is not None and not base.same(before):
                self.changed_at[name] = ts
            self._at_last_tick[name] = base

    def changed(self, name: str, ts: int) -> bool:
        """Within the last hour: at the tick of the change and for an hour of ticks from it."""
        return name in self.changed_at and ts - self.changed_at[name] < HOUR


class Days:
    """Sums of a variant's value by UTC day."""

    def __init__(self) -> None:
        self.ticks: dict[int, int] = {}
        self.sums: dict[int, float] = {}
        self.filled: dict[int, float] = {}  # day -> mean of exp(ln_oi_index) of a month of published history
        self.scale: float | None = None  # the ratio over exp(ln_oi_index) at the last tick that counted

    def fill(self, rows: Sequence[PastHour], offset: float) -> None:
        days: dict[int, list[float]] = {}
        for row in rows:
            days.setdefault(row.ts // DAY, []).append(math.exp(row.ln_oi + offset))
        self.filled |= {day: sum(of) / len(of) for day, of in days.items() if len(of) >= LEAST_ROWS}

    def tick(self, ts: int, value: float | None, sample: Sample) -> None:
        if value is None or not sample.quorum or sample.coverage < LEAST_COVERAGE:
            return
        day, weight = ts // DAY, BACKFILL_TICKS if sample.step_s == 60 else 1
        self.ticks[day] = self.ticks.get(day, 0) + weight
        self.sums[day] = self.sums.get(day, 0.0) + weight * value
        self.scale = value / math.exp(sample.ln_oi_index)

    def mean(self, day: int) -> float | None:
        """Of a completed day: by its ticks, or else by the month before."""
        if self.ticks.get(day, 0) >= LEAST_TICKS:
            return self.sums[day] / self.ticks[day]
        return None if self.scale is None or day not in self.filled else self.filled[day] * self.scale

    def means(self, ts: int) -> dict[str, float | None]:
        """Over the completed days that count."""
        today = ts // DAY
        found: dict[str, float | None] = {}
        for name, days, needed in MEANS:
            values = [value for day in range(today - days, today) if (value := self.mean(day)) is not None]
            found[name] = sum(values) / len(values) if len(values) >= needed else None
        return found
