"""Falls of open interest found with hindsight, and whether a flush showed while they went on (docs/flush.md)."""

from __future__ import annotations

from datetime import UTC, datetime
from math import log
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from service.research.backtest.measures import LEVEL, Bools, Floats, Ints
from service.research.backtest.series import Series
from service.statistics import fold

DAY_MS = 86_400_000
MONTH_MS = 30 * DAY_MS
LONGEST_MS = 72 * 3_600_000  # from the peak; a reset ends then, too
FALL = log(0.92)
MOVE = log(1.03)


class Episode(NamedTuple):
    """Positions of ticks: the peak, where the fall was deep enough to be found, and the trough."""

    peak: int
    found: int
    trough: int


def episodes(ts: Ints, ln_oi: Floats, ln_price: Floats, segments: Ints) -> list[Episode]:
    """The falls of a file in the order of time; they do not overlap, and none reaches across a hole.

    ``ts`` UTC ms, rising; ``ln_oi`` ln of chain-linked open interest; NaN where not known. An episode is found at the
    first tick that is :data:`FALL` below the highest of the 24 hours up to it (the peak: the last such tick), if the
    prices of these hours span :data:`MOVE`. Its trough is the lowest tick before half of the fall so far is regained,
    at most 72 hours after the peak; the next one begins where that ended.
    """
    made: list[Episode] = []
    known = ~(np.isnan(ln_oi) | np.isnan(ln_price))
    for segment in np.unique(segments):
        at = np.flatnonzero(known & (segments == segment))
        made += [Episode(*(int(at[i]) for i in found)) for found in _of_stretch(ts[at], ln_oi[at], ln_price[at])]
    return made


def _of_stretch(ts: Ints, ln_oi: Floats, ln_price: Floats) -> list[Episode]:
    made: list[Episode] = []
    day_before = np.searchsorted(ts, ts - DAY_MS)
    i = after = 0  # ``after``: ticks before it belong to the episode before
    while i < len(ts):
        start = max(int(day_before[i]), after)
        peak = i - int(np.argmax(ln_oi[start : i + 1][::-1]))
        prices = ln_price[day_before[i] : i + 1]
        if ln_oi[i] - ln_oi[peak] > FALL or prices.max() - prices.min() < MOVE:
            i += 1
            continue
        trough, end = i, i + 1
        while end < len(ts) and ts[end] - ts[peak] <= LONGEST_MS and ln_oi[end] < (ln_oi[peak] + ln_oi[trough]) / 2:
            trough = end if ln_oi[end] < ln_oi[trough] else trough
            end += 1
        made.append(Episode(peak, i, trough))
        i = after = end
    return made


def evaluate_episodes(series: Series) -> dict[str, Any]:
    """The service's own flush against the episodes of its file: the numbers of docs/flush.md, and every episode."""
    found = episodes(series.ts, series.ln_oi, series.ln_price, series.segments)
    return judged(found, series.ts, series.ln_oi, series.flush, series.flush_fed, series.step_s)


def judged(
    found: list[Episode], ts: Ints, ln_oi: Floats, flush: Bools, flush_fed: Bools, step_s: float
) -> dict[str, Any]:
    """``flush``: whether one lasts at a tick; ``flush_fed``: whether it could have been seen. An episode counts if it
    could be seen at any of its ticks. ``before_trough``: a flush began after the peak and before the trough.
    """
    began = flush & ~np.concatenate([[False], flush[:-1]])
    inside = np.zeros(len(ts), dtype=np.bool_)
    rows: list[dict[str, Any]] = []
    for peak, _, trough in found:
        inside[peak : trough + 1] = True
        if not flush_fed[peak + 1 : trough + 1].any():
            continue
        begins = np.flatnonzero(began[peak + 1 : trough + 1])
        at = None if len(begins) == 0 else peak + 1 + int(begins[0])
        rows.append(
            {
                "peak_at": _iso(ts[peak]),
                "trough_at": _iso(ts[trough]),
                "change": float(np.expm1(ln_oi[trough] - ln_oi[peak])),
                "flush_at": None if at is None else _iso(ts[at]),
                "before_trough": at is not None and at < trough,
                "over": None if at is None else float((ln_oi[peak] - ln_oi[at]) / (ln_oi[peak] - ln_oi[trough])),
                "hours": None if at is None else float(ts[at] - ts[peak]) / 3_600_000,
            }
        )
    return _told(
        rows,
        not_fed=len(found) - len(rows),
        begun=int(began.sum()),
        false=int((began & ~inside).sum()),
        months=float(flush_fed.sum()) * step_s * 1000 / MONTH_MS,
    )


def pooled(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """What :func:`judged` says of several files, as of one."""
    return _told(
        [row for part in parts for row in part["rows"]],
        not_fed=sum(part["not_fed"] for part in parts),  # integers
        begun=sum(part["begun"] for part in parts),  # integers
        false=sum(part["false"] for part in parts),  # integers
        months=fold(part["months"] for part in parts),
    )


def _told(rows: list[dict[str, Any]], not_fed: int, begun: int, false: int, months: float) -> dict[str, Any]:
    seen = [row for row in rows if row["before_trough"]]
    return {
        "n": len(rows),
        "not_fed": not_fed,
        "before_trough": _share(len(seen), len(rows)),
        "at_trough": sum(row["flush_at"] == row["trough_at"] for row in rows),  # integers
        "over": _quartiles([row["over"] for row in seen]),
        "hours": _quartiles([row["hours"] for row in seen]),
        "begun": begun,
        "false": false,
        "months": months,
        "false_a_month": _rate(false, months),
        "rows": rows,
    }


def _share(count: int, n: int) -> dict[str, Any]:
    """A share with Wilson's interval; nothing where there is nothing to share."""
    if n == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = proportion_confint(count, n, alpha=LEVEL, method="wilson")
    return {"value": count / n, "low": float(low), "high": float(high), "n": n}


def _rate(count: int, months: float) -> dict[str, Any]:
    """Events a month with the exact interval of a Poisson count."""
    if months == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    low = stats.chi2.ppf(LEVEL / 2, 2 * count) / 2 if count > 0 else 0.0
    high = stats.chi2.ppf(1 - LEVEL / 2, 2 * count + 2) / 2
    return {"value": count / months, "low": float(low) / months, "high": float(high) / months, "n": count}


def _quartiles(values: list[float]) -> list[float] | None:
    """Lower quartile, median, upper quartile."""
    return [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])] if values else None


def _iso(ts: int | np.int64) -> str:
    return datetime.fromtimestamp(int(ts) / 1000, UTC).isoformat(timespec="minutes")
