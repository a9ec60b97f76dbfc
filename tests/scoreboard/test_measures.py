"""Wilson and Spearman: by hand, and against scipy."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoreboard.measures import BLOCK, dependence, double_ranks, spearman, wilson


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
    assert spearman([0.1, 0.2, 0.3, 0.4], [2.0, 1.0, 5.0, 9.0]) == pytest.approx((0.8, 3**-0.5), abs=1e-15)
    assert spearman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == (-1.0, 2**-0.5)
    assert spearman([1.0], [1.0]) == (None, None)
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == (None, None)
    values = [float(number) for number in range(101)]
    assert spearman(values, values) == (1.0, 0.1)


values = st.one_of(st.floats(-1, 1), st.sampled_from([-0.5, 0.0, 0.5]))


@given(st.lists(st.tuples(values, values), min_size=3, max_size=60))
def test_spearman_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    xs, ys = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found: Any = spearman(xs, ys)[0]
    if len(set(xs)) == 1 or len(set(ys)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(float(stats.spearmanr(xs, ys).statistic), abs=1e-12)


def test_the_error_of_the_correlation_is_that_of_newey_and_west() -> None:
    """Against statsmodels: the slope of standardised ranks, Bartlett weights, lags 0 to 11."""
    pytest.importorskip("statsmodels")
    import numpy as np
    from scipy.stats import rankdata, zscore
    from statsmodels.regression.linear_model import OLS

    rng = random.Random(3)
    x = y = 0.0
    xs, ys = [], []
    for _ in range(700):
        x, y = 0.9 * x + rng.gauss(0, 1), 0.7 * y + rng.gauss(0, 1)
        xs.append(x)
        ys.append(y)
    a, b = (zscore(rankdata(np.array(values))) for values in (xs, ys))
    fit = OLS(b, a).fit(cov_type="HAC", cov_kwds={"maxlags": BLOCK - 1, "use_correction": False})
    ic, error = spearman(xs, ys)
    assert ic == pytest.approx(float(fit.params[0]), abs=1e-12)
    assert error == pytest.approx(float(fit.bse[0]), rel=1e-9)
    assert float(fit.bse[0]) > 1.3 * 699**-0.5


def test_what_resembles_its_neighbours_counts_less_and_never_more() -> None:
    def spread(hits: list[int]) -> float:
        sums = [sum(hits[i : i + BLOCK]) for i in range(len(hits) - BLOCK + 1)]
        return dependence(len(sums), sum(sums), sum(x * x for x in sums), sum(hits) / len(hits))

    rng = random.Random(4)
    single = [rng.randrange(2) for _ in range(20_000)]
    assert spread(single) < 1.1
    assert spread([hit for hit in single for _ in range(3)]) == pytest.approx(3 - 8 / BLOCK / 3, rel=0.1)
    assert spread([0, 1] * 500) == 1.0  # they avoid each other: no reason to boast
    assert spread([1] * 500) == 1.0
    assert spread(single[:119]) == 1.0  # too few to tell
