"""Intervals by drawing whole weeks, all symbols of a week together: coins fall together, and outcomes of a day overlap.

1,000 draws with replacement of as many weeks as there are, with a fixed seed; none under eight weeks, or where
something happened in fewer than eight. A week begins on Monday, UTC. ``run``: so many neighbouring weeks are drawn at
once, the last followed by the first: what lingers longer than a week then keeps more of how it does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from service.research.backtest.measures import LEAST_BLOCKS, LEVEL, RESAMPLES, SEED, Bools, Estimate, Floats, Ints

DAY_MS = 86_400_000
MONDAY_DAYS = 3  # 1970-01-01 was a Thursday


def week_of(ts: Ints) -> Ints:
    """The number of each time's week, from 0 for the first one that has any."""
    numbers: Ints = (ts // DAY_MS + MONDAY_DAYS) // 7
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def summed(weeks: Ints, *columns: Floats) -> Floats:
    """The sums of each column in each week: (weeks, columns)."""
    count = int(weeks.max()) + 1 if len(weeks) else 0
    return np.column_stack([np.bincount(weeks, column, count) for column in columns])


def drawn(
    sums: Floats, statistic: Callable[[Floats], Floats], null: float | None, n: int, run: int = 1
) -> Estimate | None:
    """``statistic`` of the sums over all weeks, with its interval over draws of weeks.

    ``sums``: (weeks, columns). ``statistic`` takes (draws, columns) and returns one value a draw, NaN where it has
    none. ``p``: twice the share of draws on the other side of ``null``, None without one. None where the
    statistic has no value.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(sums.sum(axis=0, keepdims=True))[0])
        if np.isnan(value):
            return None
        if len(sums) < LEAST_BLOCKS:
            return Estimate(value, None, None, None, n)
        return _estimate(value, statistic(_counts(len(sums), run) @ sums), null, n)


def thin(happened: Bools, weeks: Ints) -> bool:
    """Whether it happened, or did not, in fewer than eight weeks: draws of so few say nothing (of none they would say 0
    for certain)."""
    return min(len(np.unique(weeks[happened])), len(np.unique(weeks[~happened]))) < LEAST_BLOCKS


def bare(estimate: Estimate | None) -> Estimate | None:
    """Without interval and p."""
    return None if estimate is None else Estimate(estimate.value, None, None, None, estimate.n)


def area(score: Floats, happened: Bools, weeks: Ints, run: int = 1) -> Estimate | None:
    """The area under the curve: chance that the score was higher before what happened; ties count half."""
    return _area(_pairs(score, happened, weeks), happened, weeks, 0.5, run)


def area_difference(score: Floats, other: Floats, happened: Bools, weeks: Ints, run: int = 1) -> Estimate | None:
    """The area of ``score`` less that of ``other`` on the same rows, drawn together."""
    pairs = _pairs(score, happened, weeks) - _pairs(other, happened, weeks)
    return _area(pairs, happened, weeks, 0.0, run)


def _area(pairs: Floats, happened: Bools, weeks: Ints, null: float, run: int) -> Estimate | None:
    both = summed(weeks, happened.astype(np.float64), (~happened).astype(np.float64))

    def of(counts: Floats) -> Floats:
        positive, negative = (counts @ both).T
        return np.asarray(np.einsum("ri,ij,rj->r", counts, pairs, counts, optimize=True) / (positive * negative))

    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(of(np.ones((1, len(both))))[0])
        if np.isnan(value):
            return None
        if thin(happened, weeks):
            return Estimate(value, None, None, None, len(happened))
        return _estimate(value, of(_counts(len(both), run)), null, len(happened))


def _pairs(score: Floats, happened: Bools, weeks: Ints) -> Floats:
    """(i, j): how many pairs of what happened in week i and did not in week j the score has in order; ties half."""
    count = int(weeks.max()) + 1
    found = np.zeros((count, count))
    positive, of_week = score[happened], weeks[happened]
    for number in range(count):
        negative = np.sort(score[~happened & (weeks == number)])
        below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
        found[:, number] = np.bincount(of_week, below / 2, count)
    return found


def _counts(weeks: int, run: int) -> Floats:
    """(draws, weeks): how often each week was drawn."""
    rng = np.random.default_rng(SEED)
    if run > 1:
        starts = rng.integers(0, weeks, size=(RESAMPLES, -(-weeks // run)))
        chosen = ((starts[:, :, None] + np.arange(run)) % weeks).reshape(RESAMPLES, -1)[:, :weeks]
        return np.array([np.bincount(row, minlength=weeks) for row in chosen], dtype=np.float64)
    return rng.multinomial(weeks, np.full(weeks, 1 / weeks), size=RESAMPLES).astype(np.float64)


def _estimate(value: float, draws: Floats, null: float | None, n: int) -> Estimate:
    known = draws[~np.isnan(draws)]
    if len(known) < RESAMPLES // 2:
        return Estimate(value, None, None, None, n)
    low, high = np.quantile(known, [LEVEL / 2, 1 - LEVEL / 2])
    if null is None:
        return Estimate(value, float(low), float(high), None, n)
    beyond = min(float((known <= null).mean()), float((known >= null).mean()))
    return Estimate(value, float(low), float(high), min(1.0, max(2 * beyond, 1 / len(known))), n)
