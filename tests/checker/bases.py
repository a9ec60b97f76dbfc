"""What leverage divides by, as it comes in, and the daily means of one variant (section 7 of docs/signal.md)."""

from __future__ import annotations

from dataclasses import dataclass

from service.model import Denominator

from .consensus import Sample
from .history import DAY, HOUR

BACKFILL_TICKS = 6
LEAST_TICKS = 4320  # of the 8640 of a day
LEAST_COVERAGE = 0.8
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

    def tick(self, ts: int, value: float | None, sample: Sample) -> None:
        if value is None or not sample.quorum or sample.coverage < LEAST_COVERAGE:
            return
        day, weight = ts // DAY, BACKFILL_TICKS if sample.step_s == 60 else 1
        self.ticks[day] = self.ticks.get(day, 0) + weight
        self.sums[day] = self.sums.get(day, 0.0) + weight * value

    def means(self, ts: int) -> dict[str, float | None]:
        """Over the completed days that count."""
        today = ts // DAY
        found: dict[str, float | None] = {}
        for name, days, needed in MEANS:
            values = [
                self.sums[day] / self.ticks[day]
                for day in range(today - days, today)
                if self.ticks.get(day, 0) >= LEAST_TICKS
            ]
            found[name] = sum(values) / len(values) if len(values) >= needed else None
        return found
