"""Wilson and Spearman: by hand, and against scipy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoreboard.measures import double_ranks, spearman, spearman_error, wilson


def test_wilson_by_hand() -> None:
    """7 of 10 (Wilson 1927, the usual textbook case): 0.3968 to 0.8922."""
    low, high = wilson(0.7, 10)
    assert (round(low, 4), round(high, 4)) == (0.3968, 0.8922)


def test_wilson_of_none_and_all() -> None:
    assert wilson(0.0, 5)[0] == 0.0
    assert wilson(1.0, 5)[1] == 1.0
    assert wilson(0.0, 5)[1] == pytest.approx(1.0 - wilson(1.0, 5)[0], abs=1e-12)


@given(n=st.integers(1, 5000), share=st.floats(0.0, 1.0))
def test_wilson_is_that_of_scipy(n: int, share: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    hits = round(n * share)
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    low, high = wilson(hits / n, n)
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)


def test_ranks_of_equals_are_shared() -> None:
    assert double_ranks([5.0, 1.0, 5.0, 0.0]) == [5, 2, 5, 0]  # 2.5, 1, 2.5, 0


def test_spearman_by_hand() -> None:
    """Ranks 0 1 2 3 against 1 0 2 3: 1 - 6 * 2 / (4 * 15) = 0.8."""
    assert spearman([0.1, 0.2, 0.3, 0.4], [2.0, 1.0, 5.0, 9.0]) == pytest.approx(0.8, abs=1e-15)
    assert spearman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == -1.0
    assert spearman([1.0], [1.0]) is None
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert spearman_error(1) is None
    assert spearman_error(101) == 0.1


values = st.one_of(st.floats(-1, 1), st.sampled_from([-0.5, 0.0, 0.5]))


@given(st.lists(st.tuples(values, values), min_size=3, max_size=60))
def test_spearman_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    xs, ys = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found: Any = spearman(xs, ys)
    if len(set(xs)) == 1 or len(set(ys)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(float(stats.spearmanr(xs, ys).statistic), abs=1e-12)
