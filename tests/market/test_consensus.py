"""The arithmetic of a sample: against plain loops, and under arbitrary values."""

from __future__ import annotations

import math
import random
import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.market import consensus

PRICES = st.floats(1e-6, 1e9)
RATES = st.integers(-10_000, 10_000).map(lambda millionths: millionths / 1e6)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=12))
def test_median_is_that_of_the_standard_library(values: list[float]) -> None:
    assert consensus.median(values) == pytest.approx(statistics.median(values), rel=1e-12, abs=1e-300)
    assert min(values) <= consensus.median(values) <= max(values)


def test_median_of_huge_values_does_not_overflow() -> None:
    assert consensus.median([1.7e308, 1.7e308]) == 1.7e308


@given(st.lists(PRICES, min_size=1, max_size=11), st.data())
def test_median_without_some(values: list[float], data: st.DataObject) -> None:
    ordered = sorted(values)
    left_out = sorted(data.draw(st.sets(st.integers(0, len(values) - 1))))
    rest = [value for position, value in enumerate(ordered) if position not in left_out]
    expected = consensus.median(rest) if rest else None
    assert consensus.median_without(ordered, left_out) == expected


def test_a_minority_of_arbitrary_values_cannot_leave_the_honest_range() -> None:
    """Q1, 100,000 cases: n venues, floor((n-1)/2) of them arbitrary, in any place."""
    rng = random.Random(20_251_121)
    wild = (0.0, 1e-300, 1e300, -1e300, 1e9, -1.0, 0.01, 100.0)
    for case in range(100_000):
        count = 1 + case % 11
        arbitrary = (count - 1) // 2
        honest = [100.0 * (1.0 + rng.gauss(0.0, 0.01)) for _ in range(count - arbitrary)]
        values = honest + [rng.choice(wild) if rng.random() < 0.5 else rng.uniform(-1e3, 1e3) for _ in range(arbitrary)]
        rng.shuffle(values)
        assert min(honest) <= consensus.median(values) <= max(honest), (case, values)


def _funding_by_hand(coins: list[float], rates: list[float]) -> tuple[float | None, float, float | None, int]:
    """Plain loops, straight from the contract."""
    middle = statistics.median(rates)
    reach = 5.0 * max(statistics.median([abs(rate - middle) for rate in rates]), 1e-5)
    weighted = total = spend = 0.0
    for amount, rate in zip(coins, rates, strict=True):
        clipped = rate
        if len(rates) >= 3 and rate > middle + reach:
            clipped = middle + reach
        if len(rates) >= 3 and rate < middle - reach:
            clipped = middle - reach
        if len(rates) >= 3:
            others = sorted(rates)[1:-1]  # what all but the lowest and all but the highest say
            clipped = max(others[0], min(others[-1], clipped))
        weighted += amount * clipped
        total += amount
        spend += amount * clipped
    exact = [Fraction(rate) for rate in rates]
    centre = statistics.median(exact)
    furthest = exact[0]
    for candidate in exact:
        if abs(candidate - centre) > abs(furthest - centre) * (1 + Fraction(1, 10**9)):
            furthest = candidate
    sign = 0 if len(rates) < 2 or furthest == centre else (1 if furthest > centre else -1)
    spread = None if len(rates) < 2 else max(rates) - min(rates)
    return (None if total == 0.0 else weighted / total), spend, spread, sign


@given(st.lists(st.tuples(st.floats(0.0, 1e9), RATES), min_size=1, max_size=11))
def test_funding_equals_the_plain_loops(pairs: list[tuple[float, float]]) -> None:
    coins, rates = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = consensus.funding_consensus(coins, rates)
    mean, spend, spread, sign = _funding_by_hand(coins, rates)
    assert found.mean_8h == (None if mean is None else pytest.approx(mean, rel=1e-9, abs=1e-15))
    assert found.spend == pytest.approx(spend, rel=1e-9, abs=1e-15)
    assert found.spread == spread
    assert found.outlier_sign == sign


def test_funding_of_nobody_is_undefined_not_zero() -> None:
    assert consensus.funding_consensus([], []) == consensus.FundingConsensus(None, None, None, 0)


def test_funding_of_venues_without_oi_has_no_mean_but_spends_nothing() -> None:
    assert consensus.funding_consensus([0.0, 0.0], [0.0001, 0.0003]) == consensus.FundingConsensus(
        None, 0.0, pytest.approx(0.0002), -1
    )


@given(RATES, RATES)
def test_of_two_rates_the_first_venue_is_the_outlier_however_they_round(first: float, second: float) -> None:
    """Found with 0.0001 and 0.0003: in floats the second is further from the mean of both than the first."""
    sign = consensus.funding_consensus([1.0, 1.0], [first, second]).outlier_sign
    assert sign == (first > second) - (first < second)


def test_two_rates_are_not_clipped_three_are() -> None:
    assert consensus.clip_to_median([0.0001, 0.5]) == [0.0001, 0.5]
    assert consensus.clip_to_median([0.0001, 0.5, 0.0001]) == [0.0001, 0.0001, 0.0001]


@given(st.lists(RATES, min_size=2, max_size=10), st.floats(-0.1, 0.1), st.integers(0, 10))
def test_no_single_venue_moves_the_mean_beyond_what_the_others_say(
    honest: list[float], wrong: float, place: int
) -> None:
    """Cause: with three venues the median absolute deviation let a rate in percent pull the mean out of their range."""
    rates = [*honest[:place], wrong, *honest[place:]]
    found = consensus.funding_consensus([1.0] * len(rates), rates)
    assert found.mean_8h is not None
    assert found.spend is not None
    assert min(honest) - 1e-12 <= found.mean_8h <= max(honest) + 1e-12
    assert found.spend == pytest.approx(found.mean_8h * len(rates), rel=1e-9, abs=1e-12)


def test_the_outlier_of_a_tie_is_the_first_in_venue_order() -> None:
    """Below and above at the same distance: 0.25 and 0.75 around 0.5 are exact in binary."""
    assert consensus.funding_consensus([1.0] * 3, [0.25, 0.5, 0.75]).outlier_sign == -1
    assert consensus.funding_consensus([1.0] * 3, [0.75, 0.5, 0.25]).outlier_sign == 1
    assert consensus.funding_consensus([1.0] * 3, [0.5, 0.5, 0.5]).outlier_sign == 0


@pytest.mark.parametrize(
    ("now", "before", "venues", "needed", "expected"),
    [
        (110.0, 100.0, 2, 2, math.log(1.1)),
        (110.0, 100.0, 1, 2, 0.0),
        (110.0, 100.0, 1, 1, math.log(1.1)),
        (0.0, 100.0, 2, 2, 0.0),
        (110.0, 0.0, 2, 2, 0.0),
        (0.0, 0.0, 0, 1, 0.0),
    ],
)
def test_link(now: float, before: float, venues: int, needed: int, expected: float) -> None:
    assert consensus.link(now, before, venues, needed) == expected


@pytest.mark.parametrize(("listing", "needed"), [(0, 2), (1, 1), (2, 2), (11, 2)])
def test_the_quorum_is_one_only_where_a_single_venue_lists(listing: int, needed: int) -> None:
    assert consensus.needed_venues(listing, 2) == needed


def test_coverage_without_any_oi_is_none_of_it() -> None:
    assert consensus.coverage(0.0, 0.0) == 0.0
    assert consensus.coverage(3.0, 4.0) == 0.75
    assert consensus.coverage(4.000000001, 4.0) == 1.0


def test_freshness_is_that_of_the_worst_stream() -> None:
    found = consensus.freshness([1.0, 3.0], [[0.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
    assert found == pytest.approx(math.exp(-0.5), rel=1e-12)
    assert consensus.freshness([0.0, 0.0], [[0.0, 1.0]] * 3) == pytest.approx(math.exp(-0.5), rel=1e-12)


def test_trouble_starts_above_a_tenth() -> None:
    assert not consensus.troubling(10.0, 100.0)
    assert consensus.troubling(10.000001, 100.0)


@given(
    st.lists(st.tuples(st.floats(1e-3, 1e9), *[st.floats(0.0, 1.0)] * 3, st.booleans()), min_size=1, max_size=11),
    st.data(),
)
def test_losing_a_venue_never_raises_freshness_times_coverage(
    venues: list[tuple[float, float, float, float, bool]], data: st.DataObject
) -> None:
    """W5. The lost venue's oi stays in the denominator: it was seen within 24 h."""
    last = sum(venue[0] for venue in venues)

    def product(fresh: list[tuple[float, float, float, float, bool]]) -> float:
        if not fresh:
            return 0.0
        coins = [venue[0] for venue in fresh]
        worn = [[venue[stream] for venue in fresh] for stream in (1, 2, 3)]
        return consensus.freshness(coins, worn) * consensus.coverage(sum(coins), last)

    inside = [venue for venue in venues if venue[4]]
    if inside:
        lost = data.draw(st.integers(0, len(inside) - 1))
        rest = inside[:lost] + inside[lost + 1 :]
        assert product(rest) <= product(inside) * (1.0 + 1e-12)
