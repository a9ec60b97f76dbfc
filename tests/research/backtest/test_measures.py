"""Each statistic against values worked out by hand, or against a library."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.discrete.discrete_model import Logit

from service.research.backtest import measures
from service.research.backtest.judging import Trials, judged, walk_forward

RNG = np.random.default_rng(5)


def newey_west(residual_x: np.ndarray, lags: int) -> float:
    """Long-run variance of a series by hand, Bartlett weights."""
    n = len(residual_x)
    total = float(residual_x @ residual_x)
    for lag in range(1, lags + 1):
        total += 2 * (1 - lag / (lags + 1)) * float(residual_x[lag:] @ residual_x[:-lag])
    return total / n


def test_the_information_coefficient_is_spearmans_with_newey_west_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "slid", lambda x, y, least: None)
    x, noise = RNG.normal(size=300), RNG.normal(size=300)
    y = np.exp(x + 2 * noise)  # monotone: only ranks count
    lags = 6
    found = measures.information_coefficient(x, y, lags)
    assert found is not None
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12)
    a, b = stats.zscore(stats.rankdata(x)), stats.zscore(stats.rankdata(y))
    scores = a * (b - found.value * a)
    error = math.sqrt(newey_west(scores, lags) / 300 * 300 / 298)  # with the correction for two parameters
    assert found.high == pytest.approx(found.value + stats.norm.ppf(0.975) * error, rel=1e-9)
    assert found.low == pytest.approx(found.value - stats.norm.ppf(0.975) * error, rel=1e-9)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.value) / error), rel=1e-6)


def test_sliding_is_every_shift_by_hand_and_the_wider_interval_is_told() -> None:
    x, y = RNG.normal(size=250).cumsum(), RNG.normal(size=250).cumsum()
    found = measures.slid(x, y, 40)
    assert found is not None
    x, y = x - x.mean(), y - y.mean()
    shifts = range(40, 211)
    chance = np.array([abs(x @ np.roll(y, -shift)) for shift in shifts])
    left = y - (x @ y) / (x @ x) * x
    chance_left = np.array([abs(x @ np.roll(left, -shift)) for shift in shifts])
    reached = int((chance >= abs(x @ y)).sum())
    tail = 2 * stats.norm.sf(abs(x @ y) / math.sqrt(np.mean(chance**2)))
    p = max(tail, (1 + reached) / 172) if reached else tail
    half = max(np.quantile(chance_left, 0.95), 1.959963984540054 * math.sqrt(np.mean(chance_left**2)))
    assert found[1] == pytest.approx(p, rel=1e-9)
    assert found[0] == pytest.approx(half if p < 0.05 else max(half, abs(x @ y)), rel=1e-9)
    assert measures.slid(x, y, 76) is None  # under a hundred shifts
    assert measures.slid(np.ones(250), y, 1) is None
    narrow = measures.Estimate(0.5, 0.4, 0.6, 0.01, 9)
    assert measures.wider(narrow, (0.3, 0.04), 0.0, 0.75) == measures.Estimate(0.5, 0.2, 0.75, 0.04, 9)
    assert measures.wider(narrow, (0.05, 0.001)) == narrow
    assert measures.wider(narrow, None) == narrow
    without = measures.Estimate(0.5, None, None, None, 9)
    assert measures.wider(without, (0.3, 0.04)) == without


def test_slow_noise_is_found_to_say_something_no_oftener_than_it_may() -> None:
    """Newey-West alone found something in one of seven such pairs: of 120 about 17, where 6 are right."""
    rng, found = np.random.default_rng(11), 0
    for _ in range(120):
        steps = rng.normal(size=(2, 1_500))
        level = np.empty(1_500)
        level[0] = 0.0
        for i in range(1, 1_500):
            level[i] = 0.99 * level[i - 1] + steps[0, i]
        total = np.concatenate([[0.0], steps[1].cumsum()])
        outcome = total[72:] - total[:-72]
        estimate = measures.information_coefficient(level[: len(outcome)], outcome, 72)
        assert estimate is not None
        assert estimate.p is not None
        found += estimate.p < measures.LEVEL
    assert found <= 13


def test_three_events_in_noise_are_not_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks alone called one of four such files significant, and half of the lifts."""
    monkeypatch.setattr(measures, "RESAMPLES", 200)
    rng, areas, lifts = np.random.default_rng(12), 0, 0
    for _ in range(40):
        score = np.repeat(rng.normal(size=80), 25)
        happened = np.zeros(2_000, dtype=bool)
        for at in rng.choice(1_900, size=3, replace=False):
            happened[at : at + 24] = True
        segments = np.zeros(2_000, dtype=np.int64)
        area = measures.auc_estimate(score, happened, segments, 168)
        lift = measures.lift_estimate(score, happened, segments, 168)
        assert area is not None
        assert lift is not None
        areas += area.p is not None and area.p < measures.LEVEL
        lifts += lift.p is not None and lift.p < measures.LEVEL
    assert areas <= 5
    assert lifts <= 5


def test_the_mean_and_the_difference_of_means() -> None:
    values = RNG.normal(loc=0.3, size=400)
    found = measures.mean(values, 3)
    assert found is not None
    error = math.sqrt(newey_west(values - values.mean(), 3) / 399)
    assert found.value == pytest.approx(values.mean())
    assert found.high == pytest.approx(values.mean() + stats.norm.ppf(0.975) * error, rel=1e-9)
    inside = np.arange(400) % 4 == 0
    apart = measures.difference(values, inside, 3)
    assert apart is not None
    assert (apart.value, apart.n) == (pytest.approx(values[inside].mean() - values[~inside].mean()), 100)
    sparse = measures.mean(values, 41)  # under ten outcomes apart from each other
    assert sparse is not None
    assert (sparse.value, sparse.low, sparse.p) == (found.value, None, None)
    assert measures.difference(values, np.zeros(400, dtype=bool), 3) is None


def test_wilsons_interval_by_hand() -> None:
    found = measures.hit_rate(60, 100)
    assert found is not None
    z, p, n = 1.959963984540054, 0.6, 100
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (found.low, found.high) == (pytest.approx(centre - half), pytest.approx(centre + half))
    assert found.p == pytest.approx(0.056887933640980784)  # 2 * P(X >= 60) of Binomial(100, 1/2)
    assert measures.hit_rate(0, 0) is None


def test_brier_and_reliability_by_hand() -> None:
    forecast = np.array([0.1, 0.2, 0.8, 0.9])
    was = np.array([False, True, True, True])
    assert measures.brier(forecast, was) == pytest.approx((0.01 + 0.64 + 0.04 + 0.01) / 4)
    plain = measures.reliability(np.repeat(forecast, 50), np.repeat(was, 50), bins=1)[0]
    overlapping = measures.reliability(np.repeat(forecast, 50), np.repeat(was, 50), bins=1, overlap=50)[0]
    assert (plain["low"], plain["happened"]) == (pytest.approx(measures.hit_rate(150, 200).low), 0.75)
    assert overlapping["high"] == pytest.approx(measures.hit_rate(3, 4).high)  # 200 that overlap are four
    low, high = measures.reliability(forecast, was, bins=2)
    assert (low["said"], low["happened"], low["n"]) == (pytest.approx(0.15), 0.5, 2)
    assert (high["said"], high["happened"], high["n"]) == (pytest.approx(0.85), 1.0, 2)


def test_the_area_under_the_curve_counts_ties_half() -> None:
    score, was = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, True, False, True])
    # Pairs (happened, not): (2,1) won, (2,2) tied, (3,1) won, (3,2) won.
    assert measures.auc(score, was) == pytest.approx(3.5 / 4)
    x, y = RNG.normal(size=200), RNG.random(200) < 0.3
    u = stats.mannwhitneyu(x[y], x[~y]).statistic
    assert measures.auc(x, y) == pytest.approx(u / (y.sum() * (~y).sum()))
    assert measures.auc(x, np.zeros(200, dtype=bool)) is None
    drawn = RNG.integers(0, 200, size=500)  # how often each counts is the same as writing it down that often
    weights = np.bincount(drawn, minlength=200).astype(float)
    tied = np.round(x, 1)
    assert measures._auc(tied, y)(weights) == pytest.approx(measures.auc(tied[drawn], y[drawn]), rel=1e-12)
    assert measures._lift(tied, y)(weights) == pytest.approx(measures.lift(tied[drawn], y[drawn]), rel=1e-12)
    other = RNG.normal(size=200)
    assert measures._correlation(tied, other)(weights) == pytest.approx(
        stats.spearmanr(tied[drawn], other[drawn]).statistic, rel=1e-12
    )


def test_lift_by_hand_and_with_ties() -> None:
    score = np.arange(20.0)
    was = np.zeros(20, dtype=bool)
    was[[3, 19]] = True
    assert measures.lift(score, was) == pytest.approx((1 / 2) / (2 / 20))
    assert measures.lift(np.zeros(20), was) == pytest.approx(1.0)  # nothing told apart: nothing gained
    assert measures.lift(score, np.zeros(20, dtype=bool)) is None


def test_the_bootstrap_covers_a_mean_and_keeps_to_segments() -> None:
    values = RNG.normal(size=500)
    segments = np.repeat([0, 1], 250)
    around = measures.bootstrap(lambda weights: float(weights @ values / weights.sum()), segments, 1, 0.0)
    assert around is not None
    half = 1.96 * values.std() / math.sqrt(500)
    assert around[0] == pytest.approx(values.mean() - half, abs=half / 4)
    assert around[1] == pytest.approx(values.mean() + half, abs=half / 4)
    steps: list[bool] = []

    def look(weights: np.ndarray) -> float:
        # Tick 249 is the last of its segment: only the block from 240 on holds it, and that one holds 240 as well.
        steps.append(weights.sum() == 500 and weights.min() >= 0 and float(weights[240]) >= float(weights[249]))
        return 0.0

    assert measures.bootstrap(look, segments, 10, 0.0) == (0.0, 0.0, 1.0)
    assert all(steps)
    assert measures.bootstrap(look, segments, 200, 0.0) is None  # under eight blocks


def test_blocks_widen_the_interval_of_a_series_that_lingers() -> None:
    walk = np.repeat(RNG.normal(size=60), 20)
    was = np.repeat(RNG.random(60) < 0.4, 20)
    segments = np.zeros(1200, dtype=np.int64)
    narrow, wide = (measures.bootstrap(measures._auc(walk, was), segments, block, 0.5) for block in (1, 60))
    assert narrow is not None
    assert wide is not None
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
    told = measures.auc_estimate(walk, was, segments, 60)
    assert told is not None
    assert told.low is not None
    assert told.high is not None
    assert told.low <= wide[0] < told.value < wide[1] <= told.high
    lifted = measures.lift_estimate(walk, was, segments, 60)
    assert lifted is not None
    assert lifted.value == measures.lift(walk, was)
    ranked = measures.rank_correlation(walk, np.exp(walk), segments, 60)
    assert ranked is not None
    assert (ranked.value, ranked.low, ranked.high) == (pytest.approx(1.0), pytest.approx(1.0), pytest.approx(1.0))


def test_the_logistic_curve_is_the_librarys_and_survives_separation() -> None:
    x = RNG.normal(loc=3, scale=2, size=500)
    y = RNG.random(500) < 1 / (1 + np.exp(-(0.8 * x - 2)))
    intercept, slope = measures.logistic(x, y)
    fit = Logit(y * 1.0, np.column_stack([np.ones(500), x])).fit(disp=0)
    assert (intercept, slope) == (pytest.approx(fit.params[0], abs=0.05), pytest.approx(fit.params[1], rel=0.02))
    steep = measures.logistic(np.arange(20.0), np.arange(20) >= 10)
    assert all(math.isfinite(value) for value in steep)
    assert steep[1] > 0


def test_benjamini_hochberg_by_hand_and_the_count_of_tests() -> None:
    assert measures.benjamini_hochberg([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    trials = Trials()
    assert trials.told("none", None)["value"] is None
    trials.told("found", measures.Estimate(1.0, 0.5, 1.5, 0.001, 50))
    trials.told("not found", measures.Estimate(0.1, -1.0, 1.2, 0.9, 50))
    trials.told("without p", measures.Estimate(0.1, None, None, None, 50))
    told = trials.summary()
    assert (told["tests"], told["below_5_percent"], told["expected_by_chance"]) == (2, 1, 0.1)
    assert told["left_after_benjamini_hochberg"] == ["found"]


@pytest.mark.parametrize("values", [np.zeros(100), np.arange(10.0)])
def test_too_little_or_constant_says_nothing(values: np.ndarray) -> None:
    assert measures.information_coefficient(values, values, 1) is None
    assert measures.rank_correlation(values, values, np.zeros(len(values), dtype=np.int64), 1) is None


def test_walk_forward_learns_only_from_before_the_embargo() -> None:
    n, horizon_s = 500, 20
    ts = np.arange(n, dtype=np.int64) * 1_000
    x = RNG.normal(size=n)
    was = RNG.random(n) < 1 / (1 + np.exp(-2 * x))
    at, forecast, rate = walk_forward(x, was, ts, horizon_s)
    assert at.tolist() == list(range(100, 500))
    changed = was.copy()
    changed[61:] = ~changed[61:]  # 60 s is the last that the fold from 100 s on may know: 2 * 20 s before
    again = walk_forward(x, changed, ts, horizon_s)
    assert forecast[:100].tolist() == again[1][:100].tolist()
    assert forecast[100:].tolist() != again[1][100:].tolist()
    assert rate[0] == pytest.approx(was[:61].mean())
    trials = Trials()
    told = judged("x", x, was, ts, horizon_s, 1, trials)
    assert told is not None
    assert told["brier"] == pytest.approx(float(np.mean((forecast - was[at]) ** 2)))
    assert told["skill"] > 0.1
    assert told["difference"]["high"] < 0
    assert trials.summary()["tests"] == 1
    assert judged("x", x, np.arange(n) < 90, ts, horizon_s, 1, trials) is None  # nothing happens once it is judged
    assert judged("x", x[:50], was[:50], ts[:50], horizon_s, 1, trials) is None
