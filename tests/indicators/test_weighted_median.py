"""Median and MAD of single and weighted values, against the expanded list."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.indicators.weighted_median import weighted_median
from service.statistics import SortedWindow

VALUES = st.one_of(st.sampled_from((0.0, 1e-5, 2e-5, 1.0)), st.floats(-10, 10, allow_subnormal=False))


def window(values: list[float]) -> SortedWindow:
    made = SortedWindow()
    for minute, value in enumerate(values):
        made.add(minute, value)
    return made


@given(st.lists(VALUES, max_size=200), st.dictionaries(VALUES, st.integers(1, 40), max_size=80))
def test_equals_the_expanded_list(singles: list[float], heavy: dict[float, int]) -> None:
    expanded = singles + [value for value, weight in heavy.items() for _ in range(weight)]
    if not expanded:
        return
    values = sorted(heavy)
    median, mad = weighted_median(window(singles), values, [heavy[value] for value in values])
    assert median == pytest.approx(statistics.median(expanded), rel=1e-12, abs=1e-15)
    expected = statistics.median([abs(value - median) for value in expanded])
    assert mad == pytest.approx(expected, rel=1e-9, abs=1e-14)


def test_of_one_value() -> None:
    assert weighted_median(window([3.0]), [], []) == (3.0, 0.0)
    assert weighted_median(window([]), [3.0], [10]) == (3.0, 0.0)


def test_ties_around_the_median_do_not_hide_the_deviation() -> None:
    assert weighted_median(window([1.0] * 50), [0.0, 2.0], [30, 30]) == (1.0, 1.0)
    assert weighted_median(window([1.0] * 70), [0.0, 2.0], [30, 30]) == (1.0, 0.0)
    assert weighted_median(window([1.0] * 60), [0.0, 2.0], [30, 30]) == (1.0, 0.5)


def test_the_deviation_is_found_by_bisecting_down_from_the_furthest_value() -> None:
    """Cause: other intervals may end a near-tie (0.7 against 0.7000000000000001) at another last bit, and a tape then
    replays to other bytes."""
    rng = random.Random(845)
    singles = [round(rng.gauss(0, 1), 1) for _ in range(rng.randrange(60, 200))]
    values = sorted({round(rng.gauss(0, 1), 1) for _ in range(60)})
    found = weighted_median(window(singles), values, [rng.randrange(1, 9) for _ in values])
    assert found == (0.4, 0.7000000000000001)  # deviations taken from the ends of the runs give 0.7
