"""Every indicator of the library with a small window, its batch reference, and seeded series to feed both.

A reference sees the whole list of updates and works by plain loops and exact fractions; it shares nothing with the
service.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from service.research.indicators import REGISTRY, Indicator

T0 = 1_763_720_520_000  # a whole UTC minute
MINUTE = 60_000
STEP, SLOTS = 1_000, 10
WINDOW = STEP * SLOTS
HOLD = 20_000
VENUES = ("a", "a", "b", "c")

Row = tuple[float | None, ...]
Series = Sequence[tuple[int, Row]]
Read = tuple[bool, Any]  # ready, value


def in_order(series: Series) -> Iterator[tuple[int, Row]]:
    """Without the updates that come from before the newest."""
    newest = -math.inf
    for t, x in series:
        if t >= newest:
            newest = t
            yield t, x


def over(upper: float, lower: float) -> float | None:
    return None if lower == 0 else upper / lower


def grown(now: float, before: float) -> float | None:
    return None if before == 0 else float(Fraction(now) / Fraction(before) - 1)


class Seen:
    """A series cut into slots: of each the last complete row, and the sums of each column over complete pairs."""

    def __init__(self, series: Series, columns: slice = slice(None)) -> None:
        self.rows: dict[int, Row] = {}
        self.sums: dict[int, list[Fraction]] = {}
        for t, whole in in_order(series):
            self.now = t // STEP
            x = whole[columns]
            if None not in x:
                self.rows[self.now] = x
                sums = self.sums.setdefault(self.now, [Fraction(0)] * len(x))
                self.sums[self.now] = [a + Fraction(b) for a, b in zip(sums, x, strict=True) if b is not None]
        self.slots = [slot for slot in range(self.now - SLOTS + 1, self.now + 1) if slot in self.rows]
        self.window: list[Any] = [self.rows[slot] for slot in self.slots]
        self.covered = len(self.window) >= 9
        starts = [self.rows[slot] for slot in (self.now - SLOTS, self.now - SLOTS - 1) if slot in self.rows]
        self.start: Any = starts[0] if starts else None
        self.last: Any = self.rows.get(self.now)

    def flows(self) -> list[float]:
        return [float(sum(self.sums[slot][i] for slot in self.slots)) for i in range(2)]


def pointwise(of: Callable[..., float | None]) -> Callable[[Series], Read]:
    def read(series: Series) -> Read:
        *_, (_, x) = in_order(series)
        return True, None if None in x else of(*x)

    return read


def mean(series: Series) -> Read:
    seen = Seen(series)
    return seen.covered, statistics.fmean(x for (x,) in seen.window) if seen.covered else None


def z(series: Series) -> Read:
    seen = Seen(series)
    values = [Fraction(x) for (x,) in seen.window]
    if not seen.covered or seen.last is None or len(set(values)) == 1:
        return seen.covered, None
    middle = sum(values) / len(values)
    variance = sum((x - middle) ** 2 for x in values) / len(values)
    return True, float(Fraction(seen.last[0]) - middle) / math.sqrt(variance)


def premium(series: Series) -> Read:
    seen = Seen([(t, (None if None in x or x[1] == 0 else grown(*x),)) for t, x in series])  # type: ignore[arg-type]
    return seen.covered, statistics.fmean(x for (x,) in seen.window) if seen.covered else None


def weighted(series: Series) -> Read:
    seen = Seen(series)
    if not seen.covered:
        return False, None
    weights = sum(Fraction(oi) for _, oi in seen.window)
    return True, float(sum(Fraction(p) * Fraction(oi) for p, oi in seen.window) / weights) if weights else None


def changing(of: Callable[[Any, Any], Any]) -> Callable[[Series], Read]:
    def read(series: Series) -> Read:
        seen = Seen(series)
        ready = seen.covered and seen.start is not None
        return ready, of(seen.last, seen.start) if ready and seen.last is not None else None

    return read


def apart(now: Any, start: Any) -> float | None:
    oi, price = grown(now[0], start[0]), grown(now[1], start[1])
    return None if oi is None or price is None else oi - price


def volume(series: Series) -> Read:
    seen = Seen(series, slice(1, None))
    *_, (_, (oi, _, _)) = in_order(series)
    return seen.covered, over(oi, sum(seen.flows())) if seen.covered and oi is not None else None


def takers(series: Series) -> Read:
    seen = Seen(series)
    return seen.covered, over(*seen.flows()) if seen.covered else None


def forced(series: Series) -> Read:
    seen = Seen(series)
    if not seen.covered:
        return False, None
    long, short = seen.flows()
    return True, (long, short, short - long, long + short, over(short - long, long + short))


def leverage(series: Series) -> Read:
    reserves = [(t, x[1]) for t, x in in_order(series) if x[1] is not None]
    *_, (now, (oi, _)) = in_order(series)
    ready = bool(reserves) and now - reserves[-1][0] <= HOLD
    return ready, over(oi, reserves[-1][1]) if ready and oi is not None else None


def minutes(series: Series) -> tuple[int, dict[int, float]]:
    values: dict[int, float] = {}
    now = 0
    for t, (x,) in in_order(series):
        now = t // MINUTE
        if x is not None:
            values[now] = x
    return now, values


def robust(series: Series) -> Read:
    now, values = minutes(series)
    past = [values[m] for m in range(now - 1440, now) if m in values]
    if len(past) < 60 or now not in values:
        return len(past) >= 60, None
    median = statistics.median(past)
    mad = statistics.median([abs(x - median) for x in past])
    return True, (values[now] - median) / (1.4826 * max(mad, 1e-5))


def percentile(series: Series) -> Read:
    now, values = minutes(series)
    recent = [values[m] for m in range(now - 1440, now) if m in values]
    older = [values[m] for m in values if now - 43_200 <= m < now - 1440 and m % 10 == 0]
    n = len(recent) + 10 * len(older)
    if n < 60 or now not in values:
        return n >= 60, None
    x = values[now]
    total = sum(1.0 if value < x else 0.5 if value == x else 0.0 for value in recent)
    for value in older:
        origin = values[min(m for m in values if m % 10 == 0)]
        bins = [math.floor((v - origin) / 0.005 + 0.5) for v in (value, x)]
        total += 10.0 if bins[0] < bins[1] else 5.0 if bins[0] == bins[1] else 0.0
    return True, total / n


def chained(series: Series) -> Read:
    """By the links between its samples: from the window's start to now they are summed up."""
    links: list[float] = []  # into each sample from the one before it
    numbered: list[tuple[int, Row]] = []  # samples since the chain broke last
    before: dict[int, tuple[Any, Any]] = {}
    for t, x in in_order(series):
        sample = {i: (x[2 * i], x[2 * i + 1]) for i in range(4) if None not in (x[2 * i], x[2 * i + 1])}
        if len({VENUES[i] for i in sample}) < 2:
            numbered.append((t, (None,)))
            continue
        both = [i for i in sample if i in before]
        now = sum(Fraction(sample[i][0]) * Fraction(before[i][1]) for i in both)
        then = sum(Fraction(before[i][0]) * Fraction(before[i][1]) for i in both)
        if now == 0 or then == 0 or len({VENUES[i] for i in both}) < 2:
            numbered, now, then = [], Fraction(1), Fraction(1)
        links.append(math.log(now / then))
        numbered.append((t, (float(len(links)),)))
        before = sample
    return changing(lambda now, start: math.fsum(links[int(start[0]) : int(now[0])]))(numbered)


ACTS = {(1, 1): "long_build_up", (-1, 1): "short_build_up", (1, -1): "short_covering", (-1, -1): "long_unwinding"}


def acts(now: Any, start: Any) -> str | None:
    signs = [(a > b) - (a < b) for a, b in zip(now, start, strict=True)]
    return ACTS.get((signs[0], signs[1]))


def last_wins(first: Row, second: Row) -> Row:
    return second


def added(first: Row, second: Row) -> Row:
    return tuple(a + b for a, b in zip(first, second, strict=True) if a is not None and b is not None)


@dataclass(frozen=True)
class Case:
    """``scale``: seconds of the series for one second of the usual pace. ``gap_ms``: after it, nothing is left.
    ``merge``: the one update that two at the same time come to. ``nil``: the value while the first input is 0 and the
    others are 1, over a long covered past of the same."""

    make: Callable[[], Indicator[Any]]
    read: Callable[[Series], Read]
    nil: Any
    gap_ms: int = WINDOW + STEP * 2
    scale: int = 1
    merge: Callable[[Row, Row], Row] = last_wins
    updates: int = 160


def small(name: str, **more: Any) -> Callable[[], Indicator[Any]]:
    return lambda: REGISTRY[name](window_ms=WINDOW, step_ms=STEP, **more)


CASES: dict[str, Case] = {
    "funding_rate": Case(REGISTRY["funding_rate"], pointwise(lambda r, h: over(r * 8, h)), 0.0),
    "funding_mean": Case(small("funding_mean"), mean, 0.0),
    "funding_z": Case(small("funding_z"), z, None),
    "funding_apr": Case(REGISTRY["funding_apr"], pointwise(lambda r: r * 365 * 24 / 8), 0.0),
    "basis": Case(REGISTRY["basis"], pointwise(grown), -1.0),
    "premium_index": Case(small("premium_index"), premium, -1.0),
    "oi_delta": Case(small("oi_delta"), changing(lambda now, start: now[0] - start[0]), 0.0),
    "oi_momentum": Case(small("oi_momentum"), changing(lambda now, start: grown(now[0], start[0])), None),
    "oi_price_divergence": Case(small("oi_price_divergence"), changing(apart), None),
    "oi_weighted_price": Case(small("oi_weighted_price"), weighted, 0.0),
    "oi_to_volume": Case(small("oi_to_volume"), volume, 0.0, merge=lambda a, b: (b[0], *added(a[1:], b[1:]))),
    "chain_linked_oi": Case(small("chain_linked_oi", venues=VENUES), chained, 0.0, gap_ms=WINDOW + STEP * 2),
    "long_short_ratio": Case(REGISTRY["long_short_ratio"], pointwise(over), 0.0),
    "taker_ratio": Case(small("taker_ratio"), takers, 0.0, merge=added),
    "liquidations": Case(small("liquidations"), forced, (0.0, 10.0, 10.0, 10.0, 1.0), merge=added),
    "quadrant": Case(small("quadrant"), changing(acts), None),
    "elr": Case(lambda: REGISTRY["elr"](hold_ms=HOLD), leverage, 0.0, gap_ms=HOLD + 1),
    "robust_z": Case(REGISTRY["robust_z"], robust, 0.0, gap_ms=1_442 * MINUTE, scale=60, updates=400),
    "percentile_30d": Case(REGISTRY["percentile_30d"], percentile, 0.5, gap_ms=43_202 * MINUTE, scale=60, updates=400),
}


@dataclass
class Maker:
    """Draws updates: bursts, equal times, gaps, steps back; zeros, repeats and missing numbers."""

    case: Case
    rng: random.Random
    t: int = T0
    before: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inputs = self.case.make().inputs
        self.before = [1.0] * len(self.inputs)

    def row(self, missing: float = 0.03, zeros: float = 0.08) -> Row:
        row: list[float | None] = []
        for i, item in enumerate(self.inputs):
            kind = self.rng.random()
            if kind < zeros:
                x = 0.0
            elif kind < 0.3:
                x = self.before[i]
            else:
                x = self.rng.uniform(-1.0 if item.signed else 0.1, 1.0) * self.rng.choice((1.0, 1.0, 1e-3))
            self.before[i] = x
            row.append(None if self.rng.random() < missing else x)
        return tuple(row)

    def series(self, updates: int | None = None) -> list[tuple[int, Row]]:
        made = []
        for _ in range(self.case.updates if updates is None else updates):
            kind = self.rng.random()
            if kind < 0.02:
                self.t += self.rng.randrange(1_500, 14_000) * self.case.scale
            elif kind > 0.1:
                self.t += self.rng.randrange(1, 900) * self.case.scale
            back = self.rng.randrange(1, 3_000) if self.rng.random() < 0.03 else 0
            made.append((self.t - back, self.row()))
        return made

    def steady(self, updates: int, step_ms: int | None = None) -> list[tuple[int, Row]]:
        """Complete positive rows on a grid."""
        made = []
        for _ in range(updates):
            self.t += STEP * self.case.scale if step_ms is None else step_ms
            made.append((self.t, tuple(self.rng.uniform(0.1, 1.0) for _ in self.inputs)))
        return made


def feed(indicator: Indicator[Any], series: Series) -> Indicator[Any]:
    for t, x in series:
        indicator.update(t, x)
    return indicator


def read(indicator: Indicator[Any]) -> Read:
    return indicator.ready, indicator.value


def same(found: Any, expected: Any) -> bool:
    """Equal to 1e-9, relative or absolute."""
    if isinstance(expected, tuple):
        return isinstance(found, tuple) and all(same(*pair) for pair in zip(found, expected, strict=True))
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    return type(found) is type(expected) and found == expected
