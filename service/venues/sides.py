"""Which sides a figure of open interest counts, by another of the same venue that is known to count one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from statistics import median

ONE, TWO = (0.95, 1.05), (1.9, 2.1)  # what the figure may be of the one-sided one
LEAST_INSTRUMENTS = 3
LEAST_AGREEING = 0.9


def sides_of(ratio: float, one: tuple[float, float] = ONE, two: tuple[float, float] = TWO) -> int | None:
    """How many sides a figure counts that is ``ratio`` times the one-sided one; None: neither one nor two.

    >>> sides_of(1.01), sides_of(2.0), sides_of(1.4)
    (1, 2, None)
    """
    if one[0] <= ratio <= one[1]:
        return 1
    return 2 if two[0] <= ratio <= two[1] else None


def measure(figures: Iterable[tuple[float, float]]) -> tuple[int | None, float, int, float] | None:
    """Sides, median ratio, instruments compared, share that agrees with the median's sides.

    ``figures``: of each instrument the figure in question and the one-sided one, > 0. None where there are too few.

    >>> measure([(2.0, 1.0), (4.0, 2.0), (6.1, 3.0)]), measure([(2.0, 1.0)])
    ((2, 2.0, 3, 1.0), None)
    """
    ratios = [ratio for figure, single in figures if isfinite(ratio := figure / single)]
    if len(ratios) < LEAST_INSTRUMENTS:
        return None
    middle = median(ratios)
    sides = sides_of(middle)
    agreeing = sum([sides_of(ratio) == sides for ratio in ratios]) / len(ratios)  # integers
    if sides is not None and agreeing < LEAST_AGREEING:
        sides = None
    return sides, middle, len(ratios), agreeing
