"""Wilson's interval, Spearman's rank correlation and its error, and what dependence in time costs. Plain arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import sqrt
from operator import mul, sub

from service.statistics import fold

Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution
# Outcomes in a row whose sums tell how much neighbours resemble each other: those of a trend and of a score that stays.
# Twice as many measured no better in a simulation (docs/scoreboard.md); a tenth of the outcomes is the most that tells.
BLOCK = 12
LEAST_BLOCKS = 10


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share seen in ``n`` > 0 independent trials; ``n`` may be an effective number."""
    spread = Z_95 * Z_95 / n
    centre = (share + spread / 2.0) / (1.0 + spread)
    half = Z_95 / (1.0 + spread) * sqrt(share * (1.0 - share) / n + spread / (4.0 * n))
    low = 0.0 if share == 0.0 else max(0.0, centre - half)
    high = 1.0 if share == 1.0 else min(1.0, centre + half)
    return low, high


def double_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value, from 0; equal values share the mean of their ranks. Whole numbers."""
    count = len(values)
    order = sorted(range(count), key=values.__getitem__)
    ranks = [0] * count
    if len(set(values)) == count:  # the usual case, in a third of the time
        for position, index in enumerate(order):
            ranks[index] = 2 * position
        return ranks
    first = 0
    while first < count:
        value = values[order[first]]
        last = first
        while last + 1 < count and values[order[last + 1]] == value:
            last += 1
        shared = first + last
        for position in range(first, last + 1):
            ranks[order[position]] = shared
        first = last + 1
    return ranks


def spearman(xs: Sequence[float], ys: Sequence[float]) -> tuple[float | None, float | None]:
    """Spearman's rank correlation, ties by mean rank, and its standard error; pairs in the order of time.

    None under two pairs or where one side is all equal. The error is that of no relation, 1 / sqrt(n - 1), or, where
    it is larger, that of the slope of ranks on ranks whose residuals resemble those before them: Newey and West's, with
    Bartlett weights over :data:`BLOCK` pairs, which is the mean square of the sums of so many in a row.
    """
    n = len(xs)
    if n < 2:
        return None, None
    middle = n - 1  # mean of the doubled ranks
    a = [rank - middle for rank in double_ranks(xs)]
    b = [rank - middle for rank in double_ranks(ys)]
    along, across = sum(map(mul, a, a)), sum(map(mul, b, b))  # integers
    if along == 0 or across == 0:
        return None, None
    together: int = sum(map(mul, a, b))  # integers
    size = sqrt(along * across)
    found = max(-1.0, min(1.0, together / size))
    square = 1.0 / (n - 1)
    if n >= LEAST_BLOCKS * BLOCK:
        slope = found / along
        upto = list(accumulate([x * (y / size - slope * x) for x, y in zip(a, b, strict=True)], initial=0.0))
        early = [0.0] * (BLOCK - 1) + upto
        late = upto[1:] + [upto[-1]] * (BLOCK - 1)
        sums = list(map(sub, late, early))
        square = max(square, fold(map(mul, sums, sums)) / BLOCK)
    return found, sqrt(square)


def dependence(blocks: int, sums: int, squares: int, share: float) -> float:
    """By how much the square of a share's error is larger than if its outcomes were independent; at least 1.

    From the hits among :data:`BLOCK` outcomes in a row, of ``blocks`` such that overlap: their sum and that of their
    squares. 1 below ten times as many outcomes: less tells nothing.
    """
    if blocks + BLOCK - 1 < LEAST_BLOCKS * BLOCK or not 0.0 < share < 1.0:
        return 1.0
    mean = BLOCK * share
    square = (squares - 2.0 * mean * sums) / blocks + mean * mean
    return max(1.0, square / (mean * (1.0 - share)))


def t_95(freedom: int) -> float:
    """Two-sided 95 % of Student's t with at least 7 degrees of freedom, to 1e-3 (Abramowitz and Stegun 26.7.5)."""
    z, v = Z_95, float(freedom)
    return (
        z
        + (z**3 + z) / (4.0 * v)
        + (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / (96.0 * v * v)
        + (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / (384.0 * v**3)
    )


def jackknife(value: float | None, without: Sequence[float | None], freedom: int) -> tuple[float | None, float | None]:
    """The 95 % interval of a statistic from its values ``without`` each part of the data in turn, in order of time.

    What parts next to each other have in common widens it. (None, None) where one of the values is not defined, or
    where all are the same: what never varied does not tell how much it could.
    """
    known = [item for item in without if item is not None]
    if value is None or len(known) < len(without) or len(known) < 2:
        return None, None
    mean = fold(known) / len(known)
    off = [item - mean for item in known]
    square = fold(map(mul, off, off))
    square = max(square, square + fold(map(mul, off, off[1:]))) * (len(known) - 1) / len(known)
    if square == 0.0:
        return None, None
    half = t_95(freedom) * sqrt(square)
    return value - half, value + half
