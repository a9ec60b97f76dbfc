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

LEAST = 30  # values under which nothing is said
LEAST_BLOCKS = 8
LEAST_SPANS = 10  # outcomes that do not overlap: under it Newey-West errors are far too small
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
    """Spearman's rank correlation, its error by Newey-West (Bartlett weights, ``lags`` overlapping outcomes).

    The slope of the standardised ranks on each other is the correlation; OLS with HAC errors gives the rest.
    """
    n = len(signal)
    if n < LEAST or np.ptp(signal) == 0 or np.ptp(outcome) == 0:
        return None
    return _fitted(_standard_ranks(outcome), [_standard_ranks(signal)], lags, len(signal))


def _standard_ranks(values: Floats) -> Floats:
    return np.asarray(stats.zscore(stats.rankdata(values)), dtype=np.float64)


def mean(values: Floats, lags: int) -> Estimate | None:
    """The mean with Newey-West errors."""
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    return _fitted(values, [], lags, len(values))


def difference(values: Floats, inside: Bools, lags: int) -> Estimate | None:
    """Mean inside less mean outside, with Newey-West errors over the whole series in time order."""
    if min(inside.sum(), (~inside).sum()) < LEAST or np.ptp(values) == 0:
        return None
    return _fitted(values, [inside.astype(np.float64)], lags, int(inside.sum()))


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


def hit_rate(hits: int, n: int) -> Estimate | None:
    """A share with Wilson's interval, and the exact binomial test against one half."""
    if n == 0:
        return None
    low, high = proportion_confint(hits, n, alpha=LEVEL, method="wilson")
    return Estimate(hits / n, float(low), float(high), float(stats.binomtest(hits, n, 0.5).pvalue), n)


def brier(forecast: Floats, happened: Bools) -> float:
    """Mean squared error of a probability; 0 is perfect, 0.25 what always saying one half gets."""
    return float(np.mean((forecast - happened) ** 2))


def reliability(forecast: Floats, happened: Bools, bins: int = 10) -> list[dict[str, Any]]:
    """What was said against what happened, in bins of equal counts: the calibration curve."""
    told = []
    for part in np.array_split(np.argsort(forecast, kind="stable"), bins):
        if len(part) > 0:
            share = hit_rate(int(happened[part].sum()), len(part))
            assert share is not None
            told.append(
                {
                    "said": float(forecast[part].mean()),
                    "happened": share.value,
                    "low": share.low,
                    "high": share.high,
                    "n": len(part),
                }
            )
    return told


def auc(score: Floats, happened: Bools) -> float | None:
    """Chance that the score was higher before what happened than before what did not; ties count half."""
    positive = int(happened.sum())
    negative = len(happened) - positive
    if positive == 0 or negative == 0:
        return None
    ranks = stats.rankdata(score)
    return float((ranks[happened].sum() - positive * (positive + 1) / 2) / (positive * negative))


def lift(score: Floats, happened: Bools, share: float = 0.1) -> float | None:
    """How much more often it happened in the highest ``share`` of scores than over all. Of equal scores at the edge
    each counts in part."""
    if not happened.any():
        return None
    size = max(1, round(share * len(score)))
    edge = np.partition(score, -size)[-size]
    above, at = score > edge, score == edge
    weight = (size - above.sum()) / at.sum()
    return float((happened[above].sum() + weight * happened[at].sum()) / size / happened.mean())


def bootstrap(
    statistic: Callable[[Ints], float | None], segments: Ints, block: int, null: float
) -> tuple[float, float, float] | None:
    """(low, high, p) by moving blocks of ``block`` neighbours, none across two segments; None under eight blocks.

    ``statistic`` takes positions. ``p``: twice the share of resamples on the other side of ``null``.
    """
    n = len(segments)
    block = max(1, block)
    if n < LEAST_BLOCKS * block:
        return None
    starts = np.flatnonzero(segments[: n - block + 1] == segments[block - 1 :])
    if len(starts) == 0:
        return None
    rng = np.random.default_rng(SEED)
    count = -(-n // block)
    found = []
    for _ in range(RESAMPLES):
        chosen = rng.choice(starts, size=count)
        value = statistic((chosen[:, None] + np.arange(block)[None, :]).ravel()[:n])
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
    """The area under the curve with its block-bootstrap interval."""
    value = auc(score, happened)
    if value is None or len(score) < LEAST:
        return None
    around = bootstrap(lambda at: auc(score[at], happened[at]), segments, block, 0.5)
    return _around(value, around, len(score))


def lift_estimate(score: Floats, happened: Bools, segments: Ints, block: int) -> Estimate | None:
    """The lift of the highest decile, likewise."""
    value = lift(score, happened)
    if value is None or len(score) < LEAST:
        return None
    around = bootstrap(lambda at: lift(score[at], happened[at]), segments, block, 1.0)
    return _around(value, around, len(score))


def rank_correlation(score: Floats, outcome: Floats, segments: Ints, block: int) -> Estimate | None:
    """Spearman's correlation of two slow series: both trend, so its interval is by blocks."""
    if len(score) < LEAST or np.ptp(score) == 0 or np.ptp(outcome) == 0:
        return None

    def correlation(at: Ints) -> float | None:
        x, y = score[at], outcome[at]
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            return None
        return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])

    value = correlation(np.arange(len(score)))
    assert value is not None
    return _around(value, bootstrap(correlation, segments, block, 0.0), len(score))


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
