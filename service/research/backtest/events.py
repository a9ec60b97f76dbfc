"""Known days under the glass: how high leverage stood before, how far it fell, and whether a flush was seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from service.research.backtest.series import Series

DAY_MS = 86_400_000
BEFORE_DAYS = AFTER_DAYS = 3
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
    every = [study(series, EPOCH + timedelta(days=number)) for number in range(first, last + 1)]
    highs = [item["percentile_30d"] for item in every if item is not None and item["percentile_30d"] is not None]
    regimes = [item["regime"] for item in every if item is not None and item["regime"] is not None]
    for item in found:
        own = item["percentile_30d"]
        item["days_as_high"] = None if own is None else sum(high >= own for high in highs) / len(highs)
        item["days_same_regime"] = regimes.count(item["regime"]) / len(regimes) if item["regime"] in regimes else None
    return found


def study(series: Series, day: date) -> dict[str, Any] | None:
    """The UTC day: the lowest ELR (open interest where there is no base) from its start to three days on, and the
    highest of the three days before and until then. None where the file does not cover it.

    The row of a day stands for that day, though it is known later. ``percentile_30d``: as the service had it then;
    ``percentile_180d``: of the level itself, over what came before it in the same segment.
    """
    at_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    # When a value is of: of daily rows the day before the midnight after which they are known.
    of = series.ts - series.ts % DAY_MS - DAY_MS if series.step_s * 1000 >= DAY_MS else series.ts
    level, variant = series.column("elr"), "oi_reserve"
    if np.isnan(level).all():
        level, variant = series.column("oi_coins"), "oi_coins"
    there = ~np.isnan(level)
    fallen = np.flatnonzero(there & (of >= at_ms) & (of <= at_ms + AFTER_DAYS * DAY_MS))
    if len(fallen) == 0:
        return None
    trough = int(fallen[np.argmin(level[fallen])])
    risen = np.flatnonzero(there[:trough] & (of[:trough] >= at_ms - BEFORE_DAYS * DAY_MS))
    if len(risen) == 0:
        return None
    pre = int(risen[np.argmax(level[risen])])
    path = np.arange(pre, fallen[-1] + 1)[there[pre : fallen[-1] + 1]]
    worst = _worst_step(level, path)
    flushes = [int(i) for i in path if series.flush[i]]
    return {
        "event": day.isoformat(),
        "variant": variant,
        "pre_at": _iso(series.ts[pre]),
        "pre": float(level[pre]),
        "percentile_30d": series.records[pre]["rank_elr"],
        "percentile_180d": _trailing(series, level, pre),
        "fragility": series.records[pre]["fragility"],
        "regime": series.records[pre]["regime"],
        "trough_at": _iso(series.ts[trough]),
        "trough": float(level[trough]),
        "change": float(level[trough] / level[pre] - 1),
        "largest_step": worst,
        "price_change": float(np.exp(series.ln_price[trough] - series.ln_price[pre]) - 1),
        "flush_can_be_seen": bool(series.flush_fed[path].any()),
        "flush_at": _iso(series.ts[flushes[0]]) if flushes else None,
        "fallen_by_then": _done(level, pre, trough, flushes[0]) if flushes else None,
        "forced": series.records[flushes[0]]["forced"] if flushes else None,
    }


def _trailing(series: Series, level: np.ndarray[Any, np.dtype[np.float64]], position: int) -> float | None:
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


def _worst_step(level: np.ndarray[Any, np.dtype[np.float64]], path: np.ndarray[Any, np.dtype[np.int64]]) -> float:
    """The largest relative fall from one tick to the next."""
    values = level[path]
    return float((values[1:] / values[:-1] - 1).min(initial=0.0))


def _done(level: np.ndarray[Any, np.dtype[np.float64]], pre: int, trough: int, at: int) -> float:
    """Which share of the fall was over when the flush showed."""
    return float((level[pre] - level[at]) / (level[pre] - level[trough]))


def _iso(ts: int | np.int64) -> str:
    return datetime.fromtimestamp(int(ts) / 1000, UTC).isoformat(timespec="minutes")
