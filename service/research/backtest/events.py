"""Known days under the glass: how high leverage stood before, how far it fell, and whether a flush was seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from service.research.backtest.measures import Floats, Ints
from service.research.backtest.series import Series

DAY_MS = 86_400_000
BEFORE_DAYS = 3  # how far back the level before the fall is looked for
CORE_DAYS = 2  # from the day's start: where its steepest day of falling ends
SPAN_DAYS = 7  # from the day's start: where a fall that has not ended is left alone
REGAINED = 0.5  # of what was lost: then a fall is over, and what comes later is another ...
REST_MS = DAY_MS  # ... as it is once so long has passed without a lower low
TRAILING_DAYS = 180
LEAST_TRAILING = 30
EPOCH = date(1970, 1, 1)


def studied(series: Series, days: Sequence[date]) -> list[dict[str, Any]]:
    """The days that the file covers. ``days_as_high``: the share of all its days of which the same look finds a
    percentile at least as high: the look takes the highest of up to a week, so most days look high to it."""
    found = [item for day in days if (item := study(series, day)) is not None]
    if not found:
        return []
    first = int(series.ts[0]) // DAY_MS - 1
    last = int(series.ts[-1]) // DAY_MS
    looks = _Looks(series)
    falls = [_fall(looks, EPOCH + timedelta(days=number)) for number in range(first, last + 1)]
    before = [series.records[fall.pre] for fall in falls if fall is not None]
    highs = [item["rank_elr"] for item in before if item["rank_elr"] is not None]
    regimes = [item["regime"] for item in before if item["regime"] is not None]
    for item in found:
        own = item["percentile_30d"]
        item["days_as_high"] = None if own is None else sum(high >= own for high in highs) / len(highs)
        item["days_same_regime"] = regimes.count(item["regime"]) / len(regimes) if item["regime"] in regimes else None
    return found


class _Looks:
    """What every look at a day takes of the file."""

    def __init__(self, series: Series) -> None:
        self.series = series
        # When a value is of: of daily rows the day before the midnight after which they are known.
        self.of = series.ts - series.ts % DAY_MS - DAY_MS if series.step_s * 1000 >= DAY_MS else series.ts
        self.level, self.variant = series.column("elr"), "oi_reserve"
        if np.isnan(self.level).all():
            self.level, self.variant = series.column("oi_coins"), "oi_coins"
        self.there = ~np.isnan(self.level)
        self.fallen = _fallen(series, self.level)


@dataclass(frozen=True, slots=True)
class _Fall:
    """Positions: the level before, the low, and where the fall was over (None: not within the span or the file)."""

    pre: int
    trough: int
    over: int | None


def _fall(looks: _Looks, day: date) -> _Fall | None:
    """The fall of a UTC day, with hindsight; None where the file does not cover it.

    Its core is the deepest fall within 24 hours that ends on the day or the one after. The level before is the highest
    from three days before the day to the core's low. From there on the low moves down with the level until half of what
    was lost is regained, or a day has passed without a lower one: the fall is over. A week from the day's start, or
    where the stretch of the file ends, it is left as it is.
    """
    at_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    of, level, segments = looks.of, looks.level, looks.series.segments
    core = np.flatnonzero(looks.there & (of >= at_ms) & (of < at_ms + CORE_DAYS * DAY_MS))
    if len(core) == 0:
        return None
    trough = int(core[np.argmax(looks.fallen[core])])
    near = looks.there & (segments == segments[trough])
    risen = np.flatnonzero(near[:trough] & (of[:trough] >= at_ms - BEFORE_DAYS * DAY_MS))
    if len(risen) == 0:
        return None
    pre = int(risen[np.argmax(level[risen])])
    if level[pre] <= 0:
        return None
    for position in range(trough + 1, looks.series.n):
        if of[position] >= at_ms + SPAN_DAYS * DAY_MS or segments[position] != segments[trough]:
            break
        if of[position] - of[trough] > REST_MS:
            return _Fall(pre, trough, position)
        if level[position] < level[trough]:
            trough = position
        elif level[position] >= level[trough] + REGAINED * (level[pre] - level[trough]):
            return _Fall(pre, trough, position)
    return _Fall(pre, trough, None)


def study(series: Series, day: date) -> dict[str, Any] | None:
    """The fall of the UTC day in ELR (open interest where there is no base), from the level before it to its low; None
    where the file does not cover it.

    The row of a day stands for that day, though it is known later. ``percentile_30d``: as the service had it then;
    ``percentile_180d``: of the level itself, over what came before it in the same segment. A flush counts up to the
    low: one that shows later has not found this fall. ``over_at`` None: the low may not be the last of it.
    """
    looks = _Looks(series)
    fall = _fall(looks, day)
    if fall is None:
        return None
    level, there, pre, trough = looks.level, looks.there, fall.pre, fall.trough
    path = np.arange(pre, trough + 1)[there[pre : trough + 1]]
    worst = _worst_step(level, path)
    flushes = [int(i) for i in path if series.flush[i]]
    return {
        "event": day.isoformat(),
        "variant": looks.variant,
        "pre_at": _iso(series.ts[pre]),
        "pre": float(level[pre]),
        "percentile_30d": series.records[pre]["rank_elr"],
        "percentile_180d": _trailing(series, level, pre),
        "fragility": series.records[pre]["fragility"],
        "regime": series.records[pre]["regime"],
        "trough_at": _iso(series.ts[trough]),
        "trough": float(level[trough]),
        "over_at": None if fall.over is None else _iso(series.ts[fall.over]),
        "change": float(level[trough] / level[pre] - 1),
        "largest_step": worst,
        "price_change": float(np.exp(series.ln_price[trough] - series.ln_price[pre]) - 1),
        "flush_can_be_seen": bool(series.flush_fed[path].any()),
        "flush_at": _iso(series.ts[flushes[0]]) if flushes else None,
        "fallen_by_then": _done(level, pre, trough, flushes[0]) if flushes else None,
        "forced": series.records[flushes[0]]["forced"] if flushes else None,
    }


def _fallen(series: Series, level: Floats) -> Floats:
    """Of each tick the share that the level has lost since its highest of the 24 hours up to it, in its segment."""
    fallen = np.zeros(series.n)
    highest: deque[int] = deque()  # positions whose level no later one has reached, oldest first
    for position, value in enumerate(level):
        if position > 0 and series.segments[position] != series.segments[position - 1]:
            highest.clear()
        while highest and series.ts[highest[0]] < series.ts[position] - DAY_MS:
            highest.popleft()
        if value != value:
            continue
        while highest and level[highest[-1]] <= value:
            highest.pop()
        highest.append(position)
        if level[highest[0]] > 0:
            fallen[position] = 1 - value / level[highest[0]]
    return fallen


def _trailing(series: Series, level: Floats, position: int) -> float | None:
    """Rank of the level among those before it in 180 days, ties half."""
    earlier = (
        (series.segments == series.segments[position])
        & (series.ts < series.ts[position])
        & (series.ts >= series.ts[position] - TRAILING_DAYS * DAY_MS)
        & ~np.isnan(level)
    )
    if (series.ts[position] - series.ts[earlier].min(initial=series.ts[position])) < LEAST_TRAILING * DAY_MS:
        return None
    past = level[earlier]
    return float(((past < level[position]).sum() + 0.5 * (past == level[position]).sum()) / len(past))


def _worst_step(level: Floats, path: Ints) -> float:
    """The largest relative fall from one tick to the next."""
    values = level[path]
    return float((values[1:] / values[:-1] - 1).min(initial=0.0))


def _done(level: Floats, pre: int, trough: int, at: int) -> float:
    """Which share of the fall was over when the flush showed."""
    return float((level[pre] - level[at]) / (level[pre] - level[trough]))


def _iso(ts: int | np.int64) -> str:
    return datetime.fromtimestamp(int(ts) / 1000, UTC).isoformat(timespec="minutes")
