"""Every statistic against plain loops, at its boundaries, and resumed from its dump."""

from __future__ import annotations

import math
import statistics
import sys
from array import array
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.state import Stateful
from service.statistics import BinnedWindow, EwMeanSquare, RankWindow, SortedWindow, fold, robust_z

DAY_MS = 86_400_000
T0 = 1_763_720_520_000
VALUES = st.one_of(st.sampled_from((0.0, 1.0, -1.0, 1e-9)), st.floats(-1e6, 1e6))


def reload(one: Stateful, other: Any) -> Any:
    other.load(orjson.loads(orjson.dumps(one.dump())))
    assert other.dump() == one.dump()
    return other


# robust z


def test_robust_z_is_zero_on_a_flat_series_and_floored() -> None:
    assert robust_z(0.0001, 0.0001, 0.0, 1e-5) == 0.0
    assert robust_z(1.0 + 1.4826e-5, 1.0, 0.0, 1e-5) == pytest.approx(1.0)
    assert robust_z(1.0 - 2 * 1.4826, 1.0, 1.0, 1e-5) == pytest.approx(-2.0)


# sums of floats


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0.0),
        ([-0.0], 0.0),  # of -0.0 the message would say -0.0
        ([5], 5.0),
        ([1e16, 1.0, -1e16], 0.0),  # carried along, the 1 would come back
        ([0.1] * 10, 0.9999999999999999),  # and this would be 1.0
        ([0.1, 0.2, 0.3], 0.6000000000000001),
        ([0.3, 0.2, 0.1], 0.6),  # from left to right
        ([1e308, 1e308, -1e308], math.inf),
    ],
)
def test_fold_adds_from_left_to_right_and_forgets_what_rounding_cost(values: list[float], expected: float) -> None:
    """Cause: the builtin sum does so up to Python 3.11 alone; later ones gave the same tape other bytes."""
    for given_as in (values, iter(values), array("d", values)):
        assert repr(fold(given_as)) == repr(expected)


# mean of squares


@given(st.lists(st.tuples(st.floats(0, 10), st.sampled_from((1, 6))), min_size=1, max_size=80), st.booleans())
def test_mean_square_equals_the_loop(updates: list[tuple[float, int]], plain_start: bool) -> None:
    online = EwMeanSquare(300, 10, plain_start)
    alpha, expected, n = 1 - 0.5 ** (10 / 300), 0.0, 0
    for square, times in updates:
        online.update(square, times)
        online = reload(online, EwMeanSquare(300, 10, plain_start))
        for _ in range(times):
            n += 1
            a = max(alpha, 1 / n) if plain_start else alpha
            expected = square if n == 1 else (1 - a) * expected + a * square
    assert online.n == n
    assert online.value == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_mean_square_halves_after_its_half_life() -> None:
    online = EwMeanSquare(3600, 10)
    online.update(8.0)
    online.update(0.0, 360)
    assert online.value == pytest.approx(4.0)


def test_plain_start_is_a_plain_mean_until_the_half_life_weighs_as_much() -> None:
    online = EwMeanSquare(7 * 86_400, 10, plain_start=True)
    for square in range(100):
        online.update(float(square))
    assert online.value == pytest.approx(statistics.mean(range(100)))


def test_a_first_square_of_zero_counts() -> None:
    online = EwMeanSquare(10, 10)
    online.update(0.0)
    online.update(1.0)
    assert online.value == 0.5


# sorted window


@given(st.lists(st.tuples(st.integers(1, 9), VALUES), min_size=1, max_size=60), st.integers(-5, 5))
def test_sorted_window_equals_the_loop(steps: list[tuple[int, float]], shift: int) -> None:
    span, minute = 20, 1000
    online = SortedWindow(span)
    kept: list[tuple[int, float]] = []
    for step, value in steps:
        minute += step
        expected = [item for item in kept if item[0] < minute - span + 1]
        assert online.forget(minute - span + 1) == expected
        kept = [item for item in kept if item not in expected] + [(minute, value)]
        online.add(minute, value)
    online.reanchor(shift)
    online = reload(online, SortedWindow(span))
    kept = [(at + shift, value) for at, value in kept]
    values = [value for _, value in kept]
    median = statistics.median(values)
    assert len(online) == len(values)
    assert online.oldest == kept[0][0]
    assert [online.nth(i) for i in range(len(online))] == sorted(values)
    assert online.median()[0] == median
    assert online.median()[1] == statistics.median([abs(value - median) for value in values])
    for x in (*values, 0.0, 0.5):
        equal = sum(abs(v - x) <= 1e-9 * abs(x) for v in values)
        assert online.rank(x) == (sum(v < x - 1e-9 * abs(x) for v in values), equal)
        equal = sum(abs(abs(v) - abs(x)) <= 1e-9 * abs(x) for v in values)
        assert online.rank_magnitude(x) == (sum(abs(v) < abs(x) - 1e-9 * abs(x) for v in values), equal)
    for at in range(kept[0][0] - 2, kept[-1][0] + span):
        assert online.at(at) == dict(kept).get(at)


def test_sorted_window_caches_the_middle_only_until_it_changes() -> None:
    online = SortedWindow(3)
    online.add(1, 0.0)
    assert online.median() == (0.0, 0.0)
    online.add(2, 4.0)
    assert online.median() == (2.0, 2.0)
    online.forget(2)
    assert online.median() == (4.0, 0.0)
    other = SortedWindow(3)
    other.add(7, 1.0)
    assert other.median() == (1.0, 0.0)
    assert reload(online, other).median() == (4.0, 0.0)


def test_values_that_rounding_tells_apart_share_their_rank() -> None:
    """Cause: the mean of equal funding rates is 1e-4 or the next number: a flat past ranked it anywhere from 0 to 1."""
    online = SortedWindow(60)
    flat = 1e-4
    beside = (flat, math.nextafter(flat, 1.0), math.nextafter(flat, 0.0))
    for minute in range(60):
        online.add(minute, beside[minute % 3])
    for x in beside:
        assert online.rank(x) == (0, 60)
        assert online.rank_magnitude(-x) == (0, 60)
    assert online.rank(flat * (1 + 2e-9)) == (60, 0)
    assert online.rank(flat * (1 - 2e-9)) == (0, 0)


def test_sorted_window_of_nothing() -> None:
    online = SortedWindow(3)
    assert len(online) == 0
    assert online.at(0) is None
    assert online.forget(100) == []
    assert online.rank(0.0) == (0, 0)


@pytest.mark.parametrize("minute", [10, 9, 13])
def test_sorted_window_refuses_a_minute_that_is_not_free(minute: int) -> None:
    online = SortedWindow(3)
    online.add(10, 1.0)
    with pytest.raises(ValueError, match="not free"):
        online.add(minute, 2.0)
    assert (len(online), online.nth(0)) == (1, 1.0)


def test_sorted_window_refuses_a_span_its_slots_cannot_number() -> None:
    with pytest.raises(ValueError, match="65535"):
        SortedWindow(65_536)


# binned window


@given(
    st.lists(
        st.tuples(st.sampled_from((1, 10, 255, 256, 600, 5000)), st.integers(0, 511), st.integers(1, 127)), max_size=60
    ),
    st.integers(-40, 40),
    st.integers(-600, 600),
    st.integers(0, 3),
)
def test_binned_window_equals_the_loop(
    steps: list[tuple[int, int, int]], shift: int, first: int, halvings: int
) -> None:
    online, at = BinnedWindow(), 7
    kept: list[tuple[int, int, int]] = []
    for step, index, weight in steps:
        at += step
        online.forget(at - 3000)
        kept = [item for item in kept if item[0] >= at - 3000] + [(at, index, weight)]
        online.add(at, index, weight)
    online.reanchor(shift)
    new_first = (first >> halvings) - 3 if halvings > 0 else first  # so that every entry has a bin
    online.rebin([math.floor((index + first) / 2**halvings) - new_first for index in range(512)])
    online = reload(online, BinnedWindow())
    kept = [
        (time + shift, math.floor((index + first) / 2**halvings) - new_first, weight) for time, index, weight in kept
    ]
    if kept:
        assert online.span() == (min(index for _, index, _ in kept), max(index for _, index, _ in kept))
    assert online.n == sum(weight for *_, weight in kept)
    if kept:
        assert (online.oldest, online.newest) == (kept[0][0], kept[-1][0])
    for index in (-1, 0, 1, 31, 32, 33, 255, 256, 510, 511, 512, *(index for _, index, _ in kept)):
        below = sum(weight for _, other, weight in kept if other < index)
        equal = sum(weight for _, other, weight in kept if other == index)
        assert online.rank(index) == (below, equal)
    for time in {time for time, *_ in kept}:
        earlier = [item for item in kept if item[0] < time]
        assert online.rank_before(200, time) == (
            sum(weight for _, other, weight in earlier if other < 200),
            sum(weight for _, other, weight in earlier if other == 200),
            sum(weight for *_, weight in earlier),
        )


# rank window


def root_bin(value: float) -> int:
    return min(int(math.sqrt(abs(value)) * 512), 511)


@given(
    st.lists(
        st.tuples(
            st.sampled_from((10, 10, 10, 60, 300, 7200, 80_000, 86_400, 90_000)),
            st.one_of(st.sampled_from((0.0, 0.15, -0.15, 1.0, -1.0, 1.5)), st.floats(-1, 1)),
            st.sampled_from((1, 6)),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(0, 59),
)
def test_rank_window_equals_the_loop(steps: list[tuple[int, float, int]], cut: int) -> None:
    online, ts = RankWindow(DAY_MS), T0
    entries: list[tuple[int, float, int]] = []
    for number, (step, value, weight) in enumerate(steps):
        ts += step * 1000
        if number == cut:
            online = reload(online, RankWindow(DAY_MS))
            online.reanchor(-4_600)  # five seconds
            entries = [(at - 5000, x, w) for at, x, w in entries]
        live = [(root_bin(x), w) for at, x, w in entries if ts - DAY_MS < at < ts]
        n = sum(w for _, w in live)
        below = sum(w for other, w in live if other < root_bin(value))
        equal = sum(w for other, w in live if other == root_bin(value))
        expected = (below + 0.5 * equal) / n if n > 0 else 0.5
        assert online.rank(value, ts) == (pytest.approx(expected, abs=1e-12), n)
        online.add(ts, value, weight)
        entries.append((ts, value, weight))
        assert online.rank(value, ts)[1] == n  # what is entered at ts does not count at ts


def test_rank_window_ends_are_open() -> None:
    online = RankWindow(DAY_MS)
    online.add(T0, 0.5)
    assert online.rank(0.5, T0) == (0.5, 0)
    assert online.rank(0.6, T0 + 1000) == (1.0, 1)
    assert online.rank(0.6, T0 + DAY_MS - 1000) == (1.0, 1)
    assert online.rank(0.6, T0 + DAY_MS) == (0.5, 0)


def test_rank_window_ignores_a_repeated_or_earlier_tick() -> None:
    online = RankWindow(DAY_MS)
    online.add(T0, 0.5)
    online.add(T0, 0.9)
    online.add(T0 - 10_000, 0.9)
    assert online.rank(0.7, T0 + 10_000) == (1.0, 1)


@pytest.mark.parametrize("weight", [0, 128])
def test_rank_window_refuses_a_weight_it_cannot_keep(weight: int) -> None:
    with pytest.raises(ValueError, match="weight"):
        RankWindow(DAY_MS).add(T0, 0.5, weight)


def test_rank_window_of_a_full_day_is_small() -> None:
    """Measured: 30 kB (CPython 3.11) for 8,640 ticks a day over three days."""
    online = RankWindow(DAY_MS)
    for tick in range(3 * 8_640):
        ts = T0 + tick * 10_000
        online.rank(0.3, ts)
        online.add(ts, math.sin(tick))
    assert online.rank(0.3, T0 + 3 * 8_640 * 10_000)[1] == 8_639
    window = online._window
    arrays = (window._packed, window._steps, window.counts, window._blocks)
    assert 26_000 < sum(sys.getsizeof(part) for part in arrays) < 40_000
