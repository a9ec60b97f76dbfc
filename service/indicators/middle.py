"""Median and MAD of single and of weighted values together: the exact past and the binned past of a level."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

_NESTINGS = 50
_FEW = 48


def weighted_middle(singles: Sequence[float], values: Sequence[float], weights: Sequence[int]) -> tuple[float, float]:
    """Median and median absolute deviation of sorted ``singles`` and of sorted ``values``, each as often as its weight.

    Of an even count the mean of the middle two, as if every value stood there weight times.
    """
    upto = [0, *accumulate(weights)]
    n = len(singles) + upto[-1]
    low, high = (n + 1) // 2, n // 2 + 1

    def count(x: float) -> int:
        return bisect_right(singles, x) + upto[bisect_right(values, x)]

    def kth(k: int) -> float:
        positions = ((run, bisect_left(run, k, key=count)) for run in (singles, values))
        return min(run[position] for run, position in positions if position < len(run))

    lower = kth(low)
    median = lower if count(lower) >= high else (lower + kth(high)) / 2
    return median, _weighted_mad(singles, values, upto, median)


def _weighted_mad(singles: Sequence[float], values: Sequence[float], upto: Sequence[int], median: float) -> float:
    # Interval nesting around the median: ``inner`` holds fewer than half, ``outer`` at least half of the weight. When
    # few values are left between the two, these are sorted. The ties of a flat past end at once.
    def around(deviation: float) -> tuple[int, int, int, int]:
        left, right = median - deviation, median + deviation
        return (
            bisect_left(singles, left),
            bisect_right(singles, right),
            bisect_left(values, left),
            bisect_right(values, right),
        )

    def held(span: tuple[int, int, int, int]) -> int:
        return span[1] - span[0] + upto[span[3]] - upto[span[2]]

    outer = (0, len(singles), 0, len(values))
    n = held(outer)
    low, high = (n + 1) // 2, n // 2 + 1
    inner = around(0.0)
    if held(inner) >= high:
        return 0.0
    if held(inner) >= low:
        inner = (inner[0], inner[0], inner[2], inner[2])
    near, far = 0.0, max(abs(run[end] - median) for run in (singles, values) for end in (0, -1) if len(run) > 0)
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
    between: list[tuple[float, int]] = sorted(
        [(abs(singles[i] - median), 1) for i in (*range(outer[0], inner[0]), *range(inner[1], outer[1]))]
        + [
            (abs(values[i] - median), upto[i + 1] - upto[i])
            for i in (*range(outer[2], inner[2]), *range(inner[3], outer[3]))
        ]
    )
    ranks = list(accumulate((weight for _, weight in between), initial=held(inner)))
    lower, _ = between[bisect_left(ranks, low) - 1]
    upper, _ = between[bisect_left(ranks, high) - 1]
    return (lower + upper) / 2
