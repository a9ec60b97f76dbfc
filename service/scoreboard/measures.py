"""Wilson's interval and Spearman's rank correlation, in plain arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from operator import mul

Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution


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


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties by mean rank; None under two pairs or where one side is all equal.

    The sums are whole numbers: no rounding until the last division.
    """
    n = len(xs)
    if n < 2:
        return None
    a, b = double_ranks(xs), double_ranks(ys)
    middle = n * (n - 1) * (n - 1)  # n times the square of the mean of the doubled ranks
    along, across = sum(map(mul, a, a)) - middle, sum(map(mul, b, b)) - middle
    if along == 0 or across == 0:
        return None
    together: int = sum(map(mul, a, b)) - middle
    return max(-1.0, min(1.0, together / sqrt(along * across)))


def spearman_error(n: int) -> float | None:
    """Standard error of it for ``n`` independent pairs without any relation: 1 / sqrt(n - 1), exact."""
    return None if n < 2 else 1.0 / sqrt(n - 1)
