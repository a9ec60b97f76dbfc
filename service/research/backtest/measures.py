"""Statistics with their intervals, on plain arrays; libraries where they have it (scipy, statsmodels).

Every one returns None where the data cannot say: too few values, or no variation. Intervals are at 95 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Weighted: TypeAlias = Callable[[Ints], float | None]  # a statistic of how often each value counts

LEAST = 30  # values under which nothing is said
LEAST_BLOCKS = 8
HIGHEST = 0.1  # of scores: the highest decile
LEAST_SPANS = 10  # outcomes that do not overlap: under it Newey-West errors are far too small
LEAST_SLIDES = 100
RESAMPLES = 1_000
SEED = 20_200_312
LEVEL = 0.05
RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval, from ``n`` values; ``p``: two-sided, of the number being nothing. None: not known."""

    value: float
    low: float | None
    high: float | None
    p: float | None
    n: int


def information_coefficient(signal: Floats, outcome: Floats, lags: int) -> Estimate | None:
    """Spearman's rank correlation, its error by Newey-West (Bartlett weights, ``lags`` overlapping outcomes), or by
    :func:`slid` where that is wider: with a slow signal and a long horizon Newey-West finds something in one of seven
    series of noise instead of one of twenty.

    The slope of the standardised ranks on each other is the correlation; OLS with HAC errors gives the rest.
    """
    n = len(signal)
    if n < LEAST or np.ptp(signal) == 0 or np.ptp(outcome) == 0:
        return None
    x, y = _standard_ranks(signal), _standard_ranks(outcome)
    found = _fitted(y, [x], lags, n)
    return wider(found, slid(x / n, y, lags), -1.0, 1.0)


def _standard_ranks(values: Floats) -> Floats:
    return np.asarray(stats.zscore(stats.rankdata(values)), dtype=np.float64)


def mean(values: Floats, lags: int) -> Estimate | None:
    """The mean with Newey-West errors."""
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    return _fitted(values, [], lags, len(values))


def difference(values: Floats, inside: Bools, lags: int) -> Estimate | None:
    """Mean inside less mean outside, errors as of :func:`information_coefficient`, over the whole series in time."""
    if min(inside.sum(), (~inside).sum()) < LEAST or np.ptp(values) == 0:
        return None
    share = float(inside.mean())
    weights = inside / (len(inside) * share * (1 - share))
    return wider(_fitted(values, [inside.astype(np.float64)], lags, int(inside.sum())), slid(weights, values, lags))


def _fitted(values: Floats, regressors: list[Floats], lags: int, n: int) -> Estimate:
    """The last coefficient of a regression with a constant. Without an interval where too few outcomes lie apart."""
    design = np.column_stack([np.ones(len(values)), *regressors])
    fit = OLS(values, design).fit(
        cov_type="HAC", cov_kwds={"maxlags": min(max(lags, 0), len(values) - 2), "use_correction": True}
    )
    if len(values) < LEAST_SPANS * lags:
        return Estimate(float(fit.params[-1]), None, None, None, n)
    low, high = fit.conf_int(LEVEL)[-1]
    return Estimate(float(fit.params[-1]), float(low), float(high), float(fit.pvalues[-1]), n)


def slid(x: Floats, y: Floats, least: int) -> tuple[float, float] | None:
    """What chance alone makes of sum(x * y) about their means: (the size that 95 % stay below, p of its size).

    Every shift of one series against the other, the ends joined, by at least ``least`` steps: each keeps how both
    linger and cluster, and breaks only what ties them in time. ``p``: how many shifts reach it; where none does, by
    the normal tail, as only a few of the shifts are independent. For the size, what a straight line through ``x``
    leaves of ``y`` is slid, as in the errors of a regression: else a real tie would widen its own interval. It is no
    smaller than the sum itself where ``p`` is 5 % or more. None under 100 shifts.
    """
    n, least = len(x), max(1, least)
    if n - 2 * least + 1 < LEAST_SLIDES:
        return None
    x, y = x - x.mean(), y - y.mean()
    total, spread = float(x @ y), float(x @ x)
    if spread == 0:
        return None
    chance, usual = _shifted(x, y, least)
    left, usually_left = _shifted(x, y - total / spread * x, least)
    if usual == 0:
        return None
    reached = int((chance >= abs(total) * (1 - 1e-9)).sum())
    tail = float(2 * stats.norm.sf(abs(total) / usual))
    p = tail if reached == 0 else max(tail, (1 + reached) / (1 + len(chance)))
    half = max(float(np.quantile(left, 1 - LEVEL)), float(stats.norm.isf(LEVEL / 2)) * usually_left)
    return (half if p < LEVEL else max(half, abs(total))), p


def _shifted(x: Floats, y: Floats, least: int) -> tuple[Floats, float]:
    """abs(sum(x * y)) at every shift of at least ``least`` steps either way, and the root of their mean square."""
    n = len(x)
    sums = np.abs(np.fft.irfft(np.fft.rfft(y) * np.conj(np.fft.rfft(x)), n)[least : n - least + 1])
    return sums, float(np.sqrt(np.mean(sums**2)))


def wider(
    found: Estimate, chance: tuple[float, float] | None, least: float = -np.inf, most: float = np.inf
) -> Estimate:
    """The estimate with the wider of its own interval and that of :func:`slid`, and the larger p."""
    if chance is None or found.low is None or found.high is None or found.p is None:
        return found
    half, p = chance
    low, high = max(least, min(found.low, found.value - half)), min(most, max(found.high, found.value + half))
    return Estimate(found.value, low, high, max(found.p, p), found.n)


def hit_rate(hits: int, n: int) -> Estimate | None:
    """A share with Wilson's interval, and the exact binomial test against one half."""
    if n == 0:
        return None
    low, high = proportion_confint(hits, n, alpha=LEVEL, method="wilson")
    return Estimate(hits / n, float(low), float(high), float(stats.binomtest(hits, n, 0.5).pvalue), n)


def brier(forecast: Floats, happened: Bools) -> float:
    """Mean squared error of a probability; 0 is perfect, 0.25 what always saying one half gets."""
    return float(np.mean((forecast - happened) ** 2))


def reliability(forecast: Floats, happened: Bools, bins: int = 10, overlap: int = 1) -> list[dict[str, Any]]:
    """What was said against what happened, in bins of equal counts: the calibration curve. ``overlap``: neighbouring
    outcomes that share their time; the interval counts them as one."""
    told = []
    for part in np.array_split(np.argsort(forecast, kind="stable"), bins):
        if len(part) > 0:
            share, apart = float(happened[part].mean()), max(1.0, len(part) / max(1, overlap))
            low, high = proportion_confint(share * apart, apart, alpha=LEVEL, method="wilson")
            told.append(
                {
                    "said": float(forecast[part].mean()),
                    "happened": share,
                    "low": float(low),
                    "high": float(high),
                    "n": len(part),
                }
            )
    return told


def auc(score: Floats, happened: Bools) -> float | None:
    """Chance that the score was higher before what happened than before what did not; ties count half."""
    return _auc(score, happened)(np.ones(len(score), dtype=np.int64))


def _auc(score: Floats, happened: Bools) -> Weighted:
    order, low, high = _standing(score)
    at = np.flatnonzero(happened)
    low, high, other = low[at], high[at], ~happened[order]

    def area(weights: Ints) -> float | None:
        positive, negative = weights[at], _upto(weights[order] * other)
        pairs = float(positive.sum() * negative[-1])
        if pairs == 0:
            return None
        return float(positive @ (negative[low] + negative[high])) / 2 / pairs

    return area


def lift(score: Floats, happened: Bools) -> float | None:
    """How much more often it happened in the highest tenth of scores than over all. Of equal scores at the edge each
    counts in part."""
    return _lift(score, happened)(np.ones(len(score), dtype=np.int64))


def _lift(score: Floats, happened: Bools) -> Weighted:
    order, _, high = _standing(-score)  # the highest first
    ends = np.unique(high)
    was = happened[order]

    def gained(weights: Ints) -> float | None:
        drawn = weights[order]
        upto, positive = _upto(drawn)[ends], np.diff(_upto(drawn * was)[ends], prepend=0)
        total, count = float(weights.sum()), float(positive.sum())
        if count == 0:
            return None
        size = max(1.0, float(round(HIGHEST * total)))
        return float(_filled(upto, size) @ positive.astype(np.float64)) / size / (count / total)

    return gained


def _standing(values: Floats) -> tuple[Ints, Ints, Ints]:
    """The positions by rising value; and of each position how many values lie below its own, and how many not above."""
    place, counts = np.unique(values, return_inverse=True, return_counts=True)[1:]
    high = np.cumsum(counts)[place]
    return np.argsort(values, kind="stable"), high - counts[place], high


def _upto(weights: Ints) -> Ints:
    """The sums of the first 0, 1, ... of them. Whole numbers: exact in any order, and quicker than of floats."""
    return np.concatenate([[0], np.cumsum(weights)])


def _filled(upto: Ints, size: float) -> Floats:
    """Which share of each group belongs to the first ``size``, by how many there are up to its end."""
    inside = np.zeros(len(upto))
    edge = int(np.searchsorted(upto, size))  # the group that only a part of goes in
    inside[:edge] = 1.0
    if edge < len(upto):
        before = upto[edge - 1] if edge > 0 else 0
        inside[edge] = (size - before) / (upto[edge] - before)
    return inside


def _correlation(x: Floats, y: Floats) -> Weighted:
    """Spearman's, of weighted values."""
    standings = [_standing(values) for values in (x, y)]

    def correlation(weights: Ints) -> float | None:
        middle = weights.sum() / 2  # the mean rank, whatever the values
        ranks = []
        for order, low, high in standings:
            upto = _upto(weights[order])
            ranks.append((upto[low] + upto[high]) / 2 - middle)
        (a, b), counted = ranks, weights.astype(np.float64)
        spread = float((counted @ (a * a)) * (counted @ (b * b)))
        return None if spread <= 0 else float(counted @ (a * b)) / spread**0.5

    return correlation


def bootstrap(statistic: Weighted, segments: Ints, block: int, null: float) -> tuple[float, float, float] | None:
    """(low, high, p) by moving blocks of ``block`` neighbours, none across two segments; None under eight blocks.

    ``statistic`` takes how often each position was drawn. ``p``: twice the share of resamples on the other side of
    ``null``.
    """
    n = len(segments)
    block = max(1, block)
    if n < LEAST_BLOCKS * block:
        return None
    starts = np.flatnonzero(segments[: n - block + 1] == segments[block - 1 :])
    if len(starts) == 0:
        return None
    count = -(-n // block)
    found = []
    for chosen in starts[np.random.default_rng(SEED).integers(0, len(starts), size=(RESAMPLES, count))]:
        ends = chosen + block
        ends[-1] -= count * block - n  # as many positions as there are
        edges = np.bincount(chosen, minlength=n + 1) - np.bincount(ends, minlength=n + 1)
        value = statistic(np.cumsum(edges[:n]))
        if value is not None:
            found.append(value)
    if len(found) < RESAMPLES // 2:
        return None
    values = np.asarray(found)
    low, high = np.quantile(values, [LEVEL / 2, 1 - LEVEL / 2])
    below, above = float((values <= null).mean()), float((values >= null).mean())
    return float(low), float(high), min(1.0, max(2 * min(below, above), 1 / len(found)))


def _around(value: float, interval: tuple[float, float, float] | None, n: int) -> Estimate:
    low, high, p = interval if interval is not None else (None, None, None)
    return Estimate(value, low, high, p, n)


def auc_estimate(score: Floats, happened: Bools, segments: Ints, block: int) -> Estimate | None:
    """The area under the curve; its interval is the wider of blocks and :func:`slid`: of three events in a file the
    blocks alone find something in one of four series of noise."""
    area = _auc(score, happened)
    value = area(np.ones(len(score), dtype=np.int64))
    if value is None or len(score) < LEAST:
        return None
    found = _around(value, bootstrap(area, segments, block, 0.5), len(score))
    pairs = float(happened.sum() * (~happened).sum())
    ranks = np.asarray(stats.rankdata(score) / pairs, dtype=np.float64)
    return wider(found, slid(ranks, happened.astype(np.float64), block), 0.0, 1.0)


def lift_estimate(score: Floats, happened: Bools, segments: Ints, block: int) -> Estimate | None:
    """The lift of the highest decile, likewise."""
    gained = _lift(score, happened)
    value = gained(np.ones(len(score), dtype=np.int64))
    if value is None or len(score) < LEAST:
        return None
    found = _around(value, bootstrap(gained, segments, block, 1.0), len(score))
    size = max(1.0, float(round(HIGHEST * len(score))))
    ends, place = np.unique(_standing(-score)[2], return_inverse=True)
    inside = _filled(ends, size)[place]
    return wider(found, slid(inside / (size * float(happened.mean())), happened.astype(np.float64), block), 0.0)


def rank_correlation(score: Floats, outcome: Floats, segments: Ints, block: int) -> Estimate | None:
    """Spearman's correlation of two slow series, likewise."""
    if len(score) < LEAST or np.ptp(score) == 0 or np.ptp(outcome) == 0:
        return None
    correlation = _correlation(score, outcome)
    value = correlation(np.ones(len(score), dtype=np.int64))
    assert value is not None
    found = _around(value, bootstrap(correlation, segments, block, 0.0), len(score))
    return wider(found, slid(_standard_ranks(score) / len(score), _standard_ranks(outcome), block), -1.0, 1.0)


def logistic(x: Floats, happened: Bools) -> tuple[float, float]:
    """Intercept and slope of a logistic regression on the standardised ``x``, with a ridge of 1e-3 on the slope so that
    separable data have an answer; returned for ``x`` as it is."""
    centre, spread = float(x.mean()), float(x.std()) or 1.0
    design = np.column_stack([np.ones(len(x)), (x - centre) / spread])
    ridge = np.diag([0.0, RIDGE * len(x)])
    rate = (happened.sum() + 0.5) / (len(happened) + 1.0)
    beta = np.array([np.log(rate / (1 - rate)), 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (happened - p) - ridge @ beta
        step = np.linalg.solve((design * (p * (1 - p))[:, None]).T @ design + ridge + 1e-9 * np.eye(2), gradient)
        beta = beta + np.clip(step, -5, 5)
        if float(np.abs(step).max()) < 1e-10:
            break
    return float(beta[0] - beta[1] * centre / spread), float(beta[1] / spread)


def benjamini_hochberg(p: list[float]) -> list[float]:
    """p-values corrected for how many were looked at (false discovery rate)."""
    return [] if not p else [float(value) for value in multipletests(p, alpha=LEVEL, method="fdr_bh")[1]]
