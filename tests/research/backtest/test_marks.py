"""What followed alerts and regimes, beside hours as volatile (service/research/backtest/marks.py)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.research.backtest import marks
from service.research.backtest.judging import Trials
from service.research.backtest.measures import Floats
from service.research.backtest.series import Series
from service.scoring.alerts import SPIKE_EVERY_MS

HOUR_MS = 3_600_000
START_MS = 1_609_459_200_000  # 2021-01-01T00:00Z


def record(i: int, **fields: Any) -> dict[str, Any]:
    return {
        "ts": START_MS + i * HOUR_MS, "segment": 0, "warm": True, "price": 100.0, "ln_oi": 0.0, "flush": False,
        "flush_fed": True, "regime": "calm", "rank_elr": 0.5, "rank_funding": 0.5, "rank_volatility": 0.5,
        "fragility": 0.5, "z_elr": 0.0,
    } | fields  # fmt: skip


def hours(weeks: int, **columns: Floats) -> marks.Hours:
    """One file; two tenths of volatility by turns."""
    n = weeks * 7 * 24
    ts = START_MS + np.arange(n, dtype=np.int64) * HOUR_MS
    return marks.Hours(ts, np.zeros(n, dtype=np.int64), np.arange(n, dtype=np.int64) % 2, columns)


def test_a_spike_is_raised_by_the_rule_of_the_live_alert() -> None:
    """Raised at z 3 with a percentile of 0.95, cleared below 2 or 0.90, at most once in six hours."""
    told = [(3.0, 0.95), (3.5, 0.99), (2.5, 0.92), (1.9, 0.95), (4.0, 0.96), (4.0, 0.96), (4.0, 0.96), (4.0, 0.89),
            (2.9, 0.99), (3.0, 0.94), (None, 0.99), (3.1, None), (3.0, 0.95)]  # fmt: skip
    young: list[tuple[float | None, float | None]] = [(5.0, 0.99), *[(0.0, 0.5)] * 71]  # three days: none is raised
    series = Series([record(i, z_elr=z, rank_elr=rank) for i, (z, rank) in enumerate([*young, *told])], 3_600)
    # then hour 0: raised; 3: cleared; 4, 5: six hours are not over; 6: raised; 7: cleared; 12: six hours after hour 6
    assert SPIKE_EVERY_MS == 6 * HOUR_MS
    assert np.flatnonzero(marks.spikes(series, series.column("rank_elr"))).tolist() == [72, 78, 84]


def test_a_regime_begins_once_and_anew_after_a_hole() -> None:
    regimes = ["calm", "loaded", "loaded", "reset", "loaded", "loaded"]
    series = Series([record(i, regime=name, segment=i // 5) for i, name in enumerate(regimes)], 3_600)
    found = marks.began(series)
    assert np.flatnonzero(found["loaded"]).tolist() == [1, 4, 5]
    assert np.flatnonzero(found["reset"]).tolist() == [3]


def test_the_rank_of_26_hours_knows_nothing_older() -> None:
    values = [9.0, *np.linspace(0, 1, 30)]
    series = Series([record(i, ln_oi=value) for i, value in enumerate(values)], 3_600)
    found = marks.short_rank(series)
    assert np.isnan(found[:24]).all()
    assert found[26] == pytest.approx(25 / 26)  # the 9 is 26 hours old, and counts
    assert found[27] == 1.0


def test_an_entry_meets_its_deepest_fall_from_a_peak_and_its_range() -> None:
    prices = np.exp([0.0, 0.02, 0.05, 0.01, 0.03, 0.04, -0.01, 0.0])
    series = Series([record(i, price=price) for i, price in enumerate(prices)], 3_600)
    found = marks.entry(series, 5 * 3_600)
    assert found["drawdown"][0] == pytest.approx(0.04)
    assert found["range"][0] == pytest.approx(0.05)
    assert found["return"][0] == pytest.approx(0.04)
    assert found["drawdown"][1] == pytest.approx(0.06)
    assert np.isnan(found["drawdown"][3:]).all()  # their five hours are not over


def test_what_followed_is_compared_with_hours_as_volatile() -> None:
    """Of volatile hours (cell 1) a half fall, of others a tenth; marks stand in volatile ones alone, and mean nothing:
    against all hours they would be followed nearly twice as often as usual."""
    rng = np.random.default_rng(3)
    made = hours(60, mark=np.zeros(60 * 168), fell=np.zeros(60 * 168))
    made.columns["fell"][:] = rng.uniform(0, 1, len(made.ts)) < np.where(made.cell == 1, 0.5, 0.1)
    made.columns["mark"][:] = (made.cell == 1) & (rng.uniform(0, 1, len(made.ts)) < 0.2)
    found = marks.against(made, "mark", "fell", "noise", Trials())
    assert found["n"] == int(made.columns["mark"].sum())
    assert found["matched"]["value"] == pytest.approx(0.5, abs=0.02)
    assert found["lift"]["low"] < 1 < found["lift"]["high"]
    assert found["difference"]["low"] < 0 < found["difference"]["high"]
    assert made.columns["fell"].mean() == pytest.approx(0.3, abs=0.02)


def test_a_mark_that_means_something_is_found() -> None:
    rng = np.random.default_rng(4)
    mark = (rng.uniform(0, 1, 60 * 168) < 0.05) * 1.0
    made = hours(60, mark=mark, fell=(rng.uniform(0, 1, 60 * 168) < np.where(mark == 1, 0.4, 0.2)) * 1.0)
    trials = Trials()
    found = marks.against(made, "mark", "fell", "real", trials)
    assert found["lift"]["low"] > 1.5
    assert trials.summary()["below_5_percent"] == 1


def test_a_mark_that_never_began_has_no_numbers() -> None:
    made = hours(10, mark=np.zeros(1_680), fell=np.ones(1_680))
    found = marks.against(made, "mark", "fell", "none", Trials())
    assert (found["n"], found["lift"]["value"]) == (0, None)


def test_no_fall_after_forty_marks_is_no_certainty() -> None:
    """40 marks in 40 weeks, none followed: every draw of weeks says 0 as well, and 0 [0, 0] would be claimed."""
    mark = (np.arange(40 * 168) % 168 == 80) * 1.0
    fell = ((np.arange(40 * 168) % 10 == 0) & (mark == 0)) * 1.0
    trials = Trials()
    found = marks.against(hours(40, mark=mark, fell=fell), "mark", "fell", "none", trials)
    assert found["n"] == 40
    assert (found["lift"]["value"], found["lift"]["low"], found["followed"]["high"]) == (0.0, None, None)
    assert trials.summary()["tests"] == 0


def test_hours_without_an_outcome_or_a_volatility_do_not_count() -> None:
    made = hours(10, mark=np.ones(1_680), fell=np.ones(1_680))
    made.columns["fell"][:100] = np.nan
    made.cell[100:200] = -1
    assert marks.against(made, "mark", "fell", "some", Trials())["n"] == 1_480


def test_leverage_is_ranked_inside_each_fifth_of_volatility() -> None:
    """Volatility alone decides what happens, and leverage follows volatility: inside a fifth little of it is left."""
    rng = np.random.default_rng(5)
    n = 40 * 168
    volatility = rng.uniform(0.01, 0.09, n)
    rank = volatility * 10 + rng.normal(0, 0.1, n)
    columns = {
        "oi_5": (rng.uniform(0, 1, n) < volatility * 8) * 1.0, "volatility_24h": volatility, "rank_elr": rank,
        "fragility": rng.uniform(0, 1, n), "fragility_2": rank, "rank_funding": rng.uniform(0, 1, n),
        "rank_volatility": volatility,
    }  # fmt: skip
    found = marks.ranked(hours(40, **columns), "oi_5", "made", Trials())
    assert found["auc"]["rank_elr"]["value"] > 0.65
    assert all(number["value"] < 0.6 for number in found["leverage_by_volatility"])
    assert found["difference"]["fragility-volatility_24h"]["high"] < 0
    assert found["auc"]["fragility"]["low"] < 0.5 < found["auc"]["fragility"]["high"]
