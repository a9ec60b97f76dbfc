"""Median and MAD over the exact and the binned past of a level together, without spelling either out."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from service.statistics import SortedWindow

_NESTINGS = 50
_FEW = 32

Span = tuple[int, int, int, int]  # positions [first, end) of the single, and of the weighted values


def weighted_median(singles: SortedWindow, values: Sequence[float], weights: Sequence[int]) -> tuple[float, float]:
    """Median and median absolute deviation of ``singles`` and of rising ``values``, each as often as its weight.

    As if every value stood there weight times; of an even count the mean of the middle two.
    """
    upto = [0, *accumulate(weights)]
    n = len(singles) + upto[-1]
    low, high = (n + 1) // 2, n // 2 + 1

    def count(position: int) -> int:
        return upto[position + 1] + singles.upto(values[position])

    def kth(k: int) -> float:
        # The first weighted value that the k smallest reach; those before it are among them, the rest are singles.
        position = bisect_left(range(len(values)), k, key=count)
        others = k - upto[position]
        if position == len(values):
            return singles.nth(others - 1)
        if others > len(singles):
            return values[position]
        return min(values[position], singles.nth(others - 1))

    median = (kth(low) + kth(high)) / 2
    return median, _weighted_mad(singles, values, upto, median)


def _weighted_mad(singles: SortedWindow, values: Sequence[float], upto: Sequence[int], median: float) -> float:
    # Nested intervals around the median: ``inner`` holds less than half of the weight, ``outer`` at least half. Once
    # few values lie between the two, these are sorted. The ties of a flat past end at once.
    def around(deviation: float) -> Span:
        left, right = median - deviation, median + deviation
        return singles.below(left), singles.upto(right), bisect_left(values, left), bisect_right(values, right)

    def held(span: Span) -> int:
        return span[1] - span[0] + upto[span[3]] - upto[span[2]]

    outer: Span = (0, len(singles), 0, len(values))
    n = held(outer)
    low, high = (n + 1) // 2, n // 2 + 1
    inner = around(0.0)
    if held(inner) >= high:
        return 0.0
    if held(inner) >= low:
        inner = (inner[0], inner[0], inner[2], inner[2])
    ends = [values[i] for i in (0, -1) if len(values) > 0] + [singles.nth(i) for i in (0, -1) if len(singles) > 0]
    near, far = 0.0, max(abs(end - median) for end in ends)
    for _ in range(_NESTINGS):
        if outer[1] - outer[0] - inner[1] + inner[0] + outer[3] - outer[2] - inner[3] + inner[2] <= _FEW:
            break
        deviation = (near + far) / 2
        span = around(deviation)
        if held(span) >= high:
            outer, far = span, deviation
        elif held(span) < low:
            inner, near = span, deviation
        else:
            break
    between: list[tuple[float, int]] = [
        (abs(singles.nth(i) - median), 1) for i in (*range(outer[0], inner[0]), *range(inner[1], outer[1]))
    ]
    between += [
        (abs(values[i] - median), upto[i + 1] - upto[i])
        for i in (*range(outer[2], inner[2]), *range(inner[3], outer[3]))
    ]
    between.sort()
    ranks = list(accumulate((weight for _, weight in between), initial=held(inner)))
    lower, _ = between[bisect_left(ranks, low) - 1]
    upper, _ = between[bisect_left(ranks, high) - 1]
    return (lower + upper) / 2
