"""The form of p_deleveraging: its fit, its walk-forward and the intervals by weeks (docs/deleveraging.md)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from service.deleveraging import packaged, packaged_parameters
from service.research.backtest import deleveraging, weeks
from service.research.backtest.deleveraging import HOUR_MS, Parameters, Rows
from service.research.backtest.judging import Trials
from service.research.backtest.series import Series

START_MS = 1_609_459_200_000  # 2021-01-01T00:00Z
TRUE = Parameters(a_5=-1.5, a_10=-3.3, c_rank=1.2, c_volatility=0.7)


def simulated(hours: int, seed: int, at: Parameters = TRUE) -> Rows:
    """Independent hours of one file, their classes drawn from ``at``."""
    rng = np.random.default_rng(seed)
    rank, volatility = rng.uniform(0, 1, hours), 0.03 * np.exp(rng.normal(0, 0.5, hours))
    said, chance = at.probabilities(rank, volatility), rng.uniform(0, 1, hours)
    fallen = (chance < said["oi_5"]).astype(np.int64) + (chance < said["oi_10"])
    ts = START_MS + np.arange(hours, dtype=np.int64) * HOUR_MS
    return Rows(ts, np.zeros(hours, dtype=np.int64), rank, volatility, fallen)


def test_the_fit_finds_the_parameters_that_made_the_rows() -> None:
    found = deleveraging.fit(simulated(60_000, 3))
    assert found is not None
    assert found.a_5 == pytest.approx(TRUE.a_5, abs=0.05)
    assert found.a_10 == pytest.approx(TRUE.a_10, abs=0.08)
    assert found.c_rank == pytest.approx(TRUE.c_rank, abs=0.12)
    assert found.c_volatility == pytest.approx(TRUE.c_volatility, abs=0.07)


def test_the_fit_is_the_maximum_that_a_search_without_gradients_finds() -> None:
    """The likelihood written down once more, from the probabilities of the classes, searched by simplex."""
    rows = simulated(3_000, 5)
    found = deleveraging.fit(rows)
    assert found is not None
    x = np.column_stack([rows.rank - 0.5, np.log(rows.volatility / 0.03)])
    spread = x.std(axis=0)

    def lost(at: Any) -> float:
        index = x @ at[2:]
        five, ten = special.expit(at[0] + index), special.expit(at[1] + index)
        likely = np.choose(rows.fallen, [1 - five, five - ten, ten])
        if (likely <= 0).any():
            return math.inf
        return float(-np.log(likely).mean() + 1e-3 / 2 * np.sum((at[2:] * spread) ** 2))

    best = optimize.minimize(
        lost, [-1.0, -2.0, 0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 20_000}
    ).x
    assert [found.a_5, found.a_10, found.c_rank, found.c_volatility] == pytest.approx(best, abs=1e-5)


def test_nothing_is_fitted_without_all_three_classes() -> None:
    rows = simulated(500, 1)
    assert deleveraging.fit(rows.chosen(rows.fallen < 2)) is None


@given(
    a_5=st.floats(-6, 3),
    apart=st.floats(0, 5),
    c_rank=st.floats(-5, 5),
    c_volatility=st.floats(-3, 3),
    rank=st.floats(0, 1),
    volatility=st.floats(1e-6, 2),
)
def test_a_tenth_is_never_likelier_than_a_twentieth(
    a_5: float, apart: float, c_rank: float, c_volatility: float, rank: float, volatility: float
) -> None:
    said = Parameters(a_5, a_5 - apart, c_rank, c_volatility).probabilities(np.array([rank]), np.array([volatility]))
    assert 0 <= said["oi_10"][0] <= said["oi_5"][0] <= 1


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1_000))
def test_what_comes_later_changes_no_earlier_forecast(seed: int) -> None:
    """Rows from the last quarter on, and those whose outcomes reach into the day before it, are made anew."""
    rows = simulated(24 * 400, seed)
    later = list(deleveraging.quarters(rows.ts))[-1][0]
    changed = rows.ts > later - deleveraging.EMBARGO_MS
    other = simulated(24 * 400, seed + 1)
    mixed = Rows(
        rows.ts,
        rows.file,
        np.where(changed, other.rank, rows.rank),
        np.where(changed, other.volatility, rows.volatility),
        np.where(changed, other.fallen, rows.fallen),
    )
    before, after = deleveraging.walk_forward(rows), deleveraging.walk_forward(mixed)
    same = ~changed
    for form in deleveraging.FORMS:
        for label in deleveraging.FALLS:
            np.testing.assert_array_equal(before[form][label][same], after[form][label][same])
    first = np.flatnonzero(rows.ts >= later)[0]
    climatology = before["climatology"]["oi_5"][first]
    assert climatology == after["climatology"]["oi_5"][first]  # what the quarter was learned from is not touched
    assert not np.isnan(climatology)


def test_the_first_quarter_judged_has_180_days_before_it() -> None:
    rows = simulated(24 * 400, 2)  # from 2021-01-01: 1 April has 90 days before it, 1 July 181
    judged = ~np.isnan(deleveraging.walk_forward(rows)["model"]["oi_5"])
    assert rows.ts[judged][0] == 1_625_097_600_000  # 2021-07-01
    assert judged[np.flatnonzero(judged)[0] :].all()


def test_one_row_an_hour_from_the_seventh_day_on() -> None:
    """Ticks each ten minutes; the rank's hours are rounded up, as published."""
    ticks = [
        {
            "ts": START_MS + i * 600_000, "segment": 0, "warm": True, "price": 100.0, "ln_oi": 0.0, "flush": False,
            "flush_fed": False, "rank_elr": 0.5, "rank_h": -(-i // 6),
            "volatility_24h": None if i < 120 else 0.0 if i == 6 * 200 else 0.02,
        }
        for i in range(6 * 24 * 10)
    ]  # fmt: skip
    inside = np.flatnonzero(deleveraging.usable(Series(ticks, 600)))
    assert inside[0] == 6 * 168
    assert 6 * 200 not in inside  # a price that stood still for a day has no logarithm
    assert set(np.diff(inside)[:-1].tolist()) == {6, 12}


def test_the_form_is_that_of_the_service() -> None:
    """What is fitted here and what is published must be one formula, at the edges too."""
    model = packaged()
    plain = packaged_parameters()
    rank, volatility = np.array([0.0, 0.5, 0.93, 1.0]), np.array([0.0001, 0.005, 0.03, 0.4])
    rows = Rows(np.arange(4), np.zeros(4, dtype=np.int64), rank, volatility, np.zeros(4, dtype=np.int64))
    said = deleveraging.said(rows, plain)
    for i in range(4):
        assert (said["model"]["oi_5"][i], said["model"]["oi_10"][i]) == pytest.approx(
            model.probabilities(rank[i], volatility[i])
        )
        assert (said["volatility"]["oi_5"][i], said["volatility"]["oi_10"][i]) == pytest.approx(
            model.volatility_alone(volatility[i])
        )
        assert (said["climatology"]["oi_5"][i], said["climatology"]["oi_10"][i]) == model.base_rates


def test_intervals_by_weeks_hold_nothing_in_nineteen_of_twenty_series_of_noise() -> None:
    """Two forecasts that are equally good of outcomes that come in clusters of days: the skill is 0."""
    missed = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        days = 7 * 60
        happened = np.repeat(rng.uniform(0, 1, days) < 0.2, 24).astype(float)
        error = (np.repeat(rng.uniform(0, 0.4, days), 24) - happened) ** 2
        other = (np.repeat(rng.uniform(0, 0.4, days), 24) - happened) ** 2
        ts = START_MS + np.arange(days * 24, dtype=np.int64) * HOUR_MS
        found = deleveraging.skill(error, other, happened == 1, weeks.week_of(ts))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        missed += not found.low <= 0 <= found.high
    assert 3 <= missed <= 20  # of 200; right is 10


def test_the_area_is_that_of_counted_pairs_and_its_interval_holds_a_half_on_noise() -> None:
    rng = np.random.default_rng(11)
    score, happened = np.round(rng.uniform(0, 1, 400), 1), rng.uniform(0, 1, 400) < 0.3
    place = np.repeat(np.arange(10), 40)
    found = weeks.area(score, happened, place)
    pairs = [(a > b) + (a == b) / 2 for a in score[happened] for b in score[~happened]]
    assert found is not None
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high


def test_longer_runs_of_weeks_are_wider_where_a_difference_lasts_for_months() -> None:
    """What lingers for longer than a week: single weeks, drawn as if each were news, promise too much."""
    rng = np.random.default_rng(4)
    months = rng.normal(0, 0.1, 16)
    place = np.repeat(np.arange(64), 20)
    error, other = 0.3 + months[place // 4] + rng.normal(0, 0.05, len(place)), np.full(len(place), 0.3)
    happened = np.arange(len(place)) % 2 == 0
    widths = []
    for run in (1, 4):
        found = deleveraging.skill(error, other, happened, place, run)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    assert widths[1] > 1.5 * widths[0]


def test_under_eight_weeks_there_is_no_interval() -> None:
    rng = np.random.default_rng(1)
    score, happened = rng.uniform(0, 1, 70), rng.uniform(0, 1, 70) < 0.5
    found = weeks.area(score, happened, np.repeat(np.arange(7), 10))
    assert found is not None
    assert (found.low, found.high, found.p) == (None, None, None)


def test_what_happened_in_fewer_than_eight_weeks_has_no_interval() -> None:
    """Three falls in a year of weeks: draws of them find something in one of four files of noise."""
    rng = np.random.default_rng(2)
    place = np.repeat(np.arange(52), 20)
    happened = np.isin(np.arange(52 * 20), [5, 400, 900])
    found = weeks.area(rng.uniform(0, 1, len(place)), happened, place)
    assert found is not None
    assert (found.low, found.p) == (None, None)
    error = rng.uniform(0, 1, len(place))
    skill = deleveraging.skill(error, rng.uniform(0, 1, len(place)), happened, place)
    assert skill is not None
    assert (skill.low, skill.p) == (None, None)


def test_a_week_begins_on_monday() -> None:
    sunday = 1_609_718_399_999  # 2021-01-03T23:59:59.999Z
    assert weeks.week_of(np.array([sunday - 6 * 86_400_000, sunday, sunday + 1])).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("start_ms", "symbol", "fitted_to"),
    [
        (1_735_689_600_000, "SOL", "symbol"),  # 2025-01-01: SOL is among the files
        (1_735_689_600_000, "LTC", "time"),
        (1_672_531_200_000, "SOL", "time"),  # 2023-01-01: only BTC is
        (1_775_001_600_000, "SOL", None),  # 2026-04-01: after all of them
    ],
)
def test_a_file_that_the_parameters_were_fitted_to_is_no_test(
    start_ms: int, symbol: str, fitted_to: str | None
) -> None:
    rng = np.random.default_rng(9)
    n = 24 * 7 * 12
    ticks = [
        {
            "ts": start_ms + i * HOUR_MS, "segment": 0, "warm": True, "price": 100.0,
            "ln_oi": float(rng.normal(0, 0.05)),
            "flush": False, "flush_fed": True, "rank_elr": float(rng.uniform()), "rank_h": 200 + i,
            "volatility_24h": float(rng.uniform(0.01, 0.09)),
        }
        for i in range(n)
    ]  # fmt: skip
    series, trials = Series(ticks, 3_600), Trials()
    told = deleveraging.evaluate_deleveraging(series, series.ahead(86_400), symbol, trials)
    assert told["fitted_to"] == fitted_to
    assert told["oi_5"]["n"] > 1_500
    assert (trials.summary()["tests"] > 0) == (fitted_to != "symbol")
