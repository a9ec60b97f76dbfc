"""24 h exactly, 30 days in bins: every boundary, and 33 days against the full list."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.indicators.trailing import LinearBins, LogarithmicBins, Trailing
from service.statistics import BinnedWindow
from tests.indicators.batch import log_bin
from tests.indicators.build import DAY_MINUTES, through_json

M0 = 29_395_300  # a minute divisible by ten
MONTH = 30 * DAY_MINUTES


def fed(history: Trailing, values: dict[int, float], now: int) -> Trailing:
    for minute, value in values.items():
        history.add(minute, value)
    history.advance(now)
    return history


@pytest.mark.parametrize(("after", "n"), [(DAY_MINUTES, 1), (DAY_MINUTES + 1, 10), (MONTH, 10), (MONTH + 1, 0)])
def test_a_value_counts_for_exactly_a_month_also_when_time_leaps(after: int, n: int) -> None:
    """Cause guarded against: another answer after a month without samples than after a month with them."""
    assert fed(Trailing(LogarithmicBins()), {M0: 1e-4}, M0 + after).n == n
    stepwise = fed(Trailing(LogarithmicBins()), {M0: 1e-4}, M0 + 1)
    for now in range(M0 + 1, M0 + after + 1, 1 if after <= DAY_MINUTES + 1 else MONTH // 100):
        stepwise.advance(now)
    stepwise.advance(M0 + after)
    assert stepwise.n == n


def test_33_days_equal_the_full_list() -> None:
    draw = random.Random(2)
    values: dict[int, float] = {}
    magnitudes, linear = Trailing(LogarithmicBins(), magnitude=True), Trailing(LinearBins(0.005))
    spread = Trailing(LogarithmicBins())
    x, now = 0.0, M0
    for now in range(M0, M0 + 33 * DAY_MINUTES):
        x += draw.gauss(0, 2e-4)
        if draw.random() < 0.9:
            values[now] = x
            for history in (magnitudes, linear):
                history.add(now, x)
            spread.add(now, abs(x))
        elif draw.random() < 0.1:
            magnitudes, old = Trailing(LogarithmicBins(), magnitude=True), magnitudes
            magnitudes.load(through_json(old.dump()))
    now += 1
    for history in (magnitudes, linear, spread):
        history.advance(now)
    recent = [values[m] for m in values if m >= now - DAY_MINUTES]
    older = [values[m] for m in values if now - MONTH <= m < now - DAY_MINUTES and m % 10 == 0]
    first = values[min(m for m in values if m % 10 == 0)]
    n = len(recent) + 10 * len(older)
    assert magnitudes.n == linear.n == spread.n == n
    assert magnitudes.horizon_h(now) == 720
    for probe in (x, 0.0, -x, first, max(values.values())):
        half = sum((v < probe) + 0.5 * (v == probe) for v in recent)
        at = math.floor((probe - first) / 0.005 + 0.5)
        bins = [math.floor((v - first) / 0.005 + 0.5) for v in older]
        assert linear.percentile(probe) == pytest.approx(
            (half + 10 * sum((b < at) + 0.5 * (b == at) for b in bins)) / n, rel=1e-9
        )
        half = sum((abs(v) < abs(probe)) + 0.5 * (abs(v) == abs(probe)) for v in recent)
        bins = [log_bin(abs(v)) for v in older]
        at = log_bin(abs(probe))
        assert magnitudes.percentile(probe) == pytest.approx(
            (half + 10 * sum((b < at) + 0.5 * (b == at) for b in bins)) / n, rel=1e-9
        )
    expanded = [abs(v) for v in recent]
    for v in older:
        expanded += [1e-8 * math.exp((log_bin(abs(v)) + 0.5) * math.log(1e9) / 512)] * 10
    median = statistics.median(expanded)
    assert spread.median()[0] == pytest.approx(median, rel=1e-9)
    assert spread.median()[1] == pytest.approx(statistics.median([abs(v - median) for v in expanded]), rel=1e-9)


def test_a_minute_counts_exactly_for_24_hours_then_every_tenth_for_30_days() -> None:
    history = fed(Trailing(LogarithmicBins()), {M0: 1.0, M0 + 1: 2.0}, M0 + DAY_MINUTES)
    assert (len(history.recent), history.older.n) == (2, 0)
    history.advance(M0 + DAY_MINUTES + 1)
    assert (len(history.recent), history.older.n) == (1, 10)
    history.advance(M0 + DAY_MINUTES + 2)
    assert (len(history.recent), history.older.n) == (0, 10)
    history.advance(M0 + MONTH)
    assert history.n == 10
    assert history.horizon_h(M0 + MONTH) == 720
    history.advance(M0 + MONTH + 1)
    assert history.n == 0
    assert history.horizon_h(M0 + MONTH + 1) == 0


def test_nothing_older_is_kept_without_bins() -> None:
    history = fed(Trailing(), {M0: 1.0}, M0 + DAY_MINUTES + 1)
    assert history.n == 0


def test_a_stop_of_more_than_30_days_leaves_nothing() -> None:
    history = fed(Trailing(LinearBins(0.005)), {M0 + m: 1.0 for m in range(3000)}, M0 + 3000)
    assert history.n > 1000
    history.advance(M0 + 3000 + MONTH)
    assert history.n == 0
    history.add(M0 + 3001 + MONTH, 5.0)
    assert history.n == 1


def test_percentile_needs_sixty_and_older_values_count_ten() -> None:
    history = fed(Trailing(LogarithmicBins()), {M0 + m: 1.0 for m in range(59)}, M0 + 59)
    assert history.percentile(1.0) is None
    history.add(M0 + 59, 1.0)
    assert history.percentile(1.0) == 0.5
    assert history.percentile(2.0) == 1.0
    history.advance(M0 + DAY_MINUTES + 60)
    assert (history.n, history.percentile(2.0)) == (60, 1.0)
    assert history.recent_percentile(2.0) is None


@pytest.mark.parametrize(("minutes", "hours"), [(1, 1), (60, 1), (61, 2), (DAY_MINUTES, 24)])
def test_horizon_is_rounded_up_from_the_running_minute(minutes: int, hours: int) -> None:
    assert fed(Trailing(), {M0: 1.0}, M0 + 1).horizon_h(M0 + minutes) == hours


def test_logarithmic_bins() -> None:
    bins = LogarithmicBins()
    assert [bins.index(x) for x in (0.0, 1e-9, 1e-8, 1.03e-8, 1.05e-8, 9.9, 10.0, 1e9)] == [
        0,
        0,
        0,
        0,
        1,
        511,
        511,
        511,
    ]
    for index in (0, 1, 200, 511):
        assert bins.index(bins.centre(index)) == index
        assert bins.index(bins.centre(index) * 1.019) == index
        assert bins.index(bins.centre(index) * 1.022) == min(index + 1, 511)


def admitted(bins: LinearBins, held: BinnedWindow, *values: float) -> None:
    for value in values:
        bins.admit(value, held)
        held.add(held.newest + 1, bins.index(value), 1)


def test_linear_bins_begin_around_the_first_value_and_slide() -> None:
    bins, held = LinearBins(0.005), BinnedWindow()
    admitted(bins, held, 0.3)
    assert [bins.index(0.3 + d) for d in (0.0, 0.0024, 0.0026, -0.0024, -0.0026)] == [256, 256, 257, 256, 255]
    assert bins.index(0.3 + 255 * 0.005) == 511
    admitted(bins, held, 0.3 + 256 * 0.005)  # no bin yet: both come to lie around the middle
    assert [bins.index(0.3 + d * 0.005) for d in (0, 256)] == [128, 384]
    assert list(held.span()) == [128, 384]
    assert bins.centre(bins.index(0.3)) == pytest.approx(0.3)
    held.forget(held.newest)  # the first is forgotten, and its bin may be cut off
    admitted(bins, held, 0.3 + 600 * 0.005)
    assert [bins.index(0.3 + d * 0.005) for d in (256, 600)] == [84, 428]
    held.forget(held.newest + 1)
    admitted(bins, held, -70.0)
    assert (bins.index(-70.0), bins.centre(256)) == (256, -70.0)


def test_bins_that_are_too_few_become_wider() -> None:
    bins, held = LinearBins(0.005), BinnedWindow()
    admitted(bins, held, 0.0, 2.0, -2.0)  # 800 bins of 0.005
    assert list(held.span()) == [56, 456]
    at = bins.index(0.0)
    assert [bins.index(d * 0.005) - at for d in (-1, 0, 1, 2)] == [-1, 0, 0, 1]
    assert bins.centre(at) == pytest.approx(0.0025)
    assert [bins.index(bins.centre(index)) for index in (0, 56, 255, 511)] == [0, 56, 255, 511]
    admitted(bins, held, 1e30, -1e30)  # further than any number of bins
    lowest, highest = held.span()
    assert 0 <= lowest < bins.index(0.0) < highest < 512


def test_wide_bins_become_narrow_again() -> None:
    """One value far off left every later one in a single bin for good: each ranked a half."""
    history, draw = Trailing(LinearBins(0.005)), random.Random(5)
    values = {m: draw.gauss(0, 1) for m in range(0, 75 * DAY_MINUTES, 10)}
    values[5 * DAY_MINUTES] = 1e6
    for m, x in values.items():
        history.add(M0 + m, x)
    older = [x for m, x in values.items() if m >= 45 * DAY_MINUTES]
    for probe in (-1.28, -0.5, 0.0, 1.28):
        true = sum(x < probe for x in older) / len(older)
        assert history.percentile(probe) == pytest.approx(true, abs=0.02)
    assert isinstance(history.bins, LinearBins)
    assert 12 <= history.bins.index(0.5) - history.bins.index(0.0) <= 50  # 0.04 wide at most: 128 bins for +-2.6


@given(
    st.lists(
        st.tuples(
            st.sampled_from((0.0, 1.0, 3.0, 40.0, 1e6)).flatmap(lambda wide: st.floats(-wide, wide)),
            st.integers(0, 40),
        ),
        min_size=1,
        max_size=80,
    )
)
@example([(0.0, 0), (1e3, 0), (0.1, 0), (490.0, 2)])  # narrowed around what is held, away from the new value
def test_every_value_has_a_bin_and_the_order_stays(steps: list[tuple[float, int]]) -> None:
    """A value inside wide bins was beyond them once they had been halved around the others."""
    bins, held = LinearBins(0.005), BinnedWindow()
    kept: list[tuple[int, float]] = []
    for time, (value, forgotten) in enumerate(steps):
        before = kept[min(forgotten, len(kept)) :]
        held.forget(before[0][0] if before else time)
        kept = [*before, (time, value)]
        bins.admit(value, held)
        assert 0 <= bins.index(value) < 512
        held.add(time, bins.index(value), 1)
        assert held.n == len(kept)
        for _, probe in kept:
            below, _ = held.rank(bins.index(probe))
            assert below <= sum(x <= probe for _, x in kept)


def test_values_beyond_the_bins_keep_their_order() -> None:
    """A month of growth must not end in one bin where every percentile is a half."""
    history = Trailing(LinearBins(0.005))
    for m in range(2 * DAY_MINUTES):
        history.add(M0 + m, m * 0.002)  # 5.76 in all: 512 bins of 0.005 span 2.56
    history.advance(M0 + 3 * DAY_MINUTES)
    assert len(history.recent) == 0
    for x in (0.5, 1.0, 3.0, 5.75 - 1.28, 5.8):
        assert history.percentile(x) == pytest.approx(min(x / 5.76, 1.0), abs=0.005)


def test_an_excursion_beyond_the_bins_does_not_move_what_was_before() -> None:
    """What had been pushed into the outermost bin came back with it: a constant level then ranked 0.1 among itself."""
    history = Trailing(LinearBins(0.005))
    level = {m: 0.0 if m % 3000 != 0 or m == 0 else 4.0 for m in range(20 * DAY_MINUTES)}
    draw = random.Random(4)
    values = {M0 + m: x + draw.gauss(0, 0.05) for m, x in level.items()}
    for m, x in values.items():
        history.add(m, x)
    now = M0 + 21 * DAY_MINUTES
    history.advance(now)
    older = [x for m, x in values.items() if m % 10 == 0]
    for probe in (-0.1, -0.05, 0.0, 0.03, 0.1, 2.0, 4.0, 4.2):
        true = sum((x < probe) + 0.5 * (x == probe) for x in older) / len(older)
        assert history.percentile(probe) == pytest.approx(true, abs=0.045)  # half of what a bin of 0.01 holds
