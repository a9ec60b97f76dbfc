"""What an objective fall is, and what is counted of a flush, on paths drawn by hand (docs/flush.md)."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy import stats

from service.research.backtest.episodes import Episode, episodes, judged

HOUR = 3_600_000
Path = list[float]


def found(oi: Path, price: Path | None = None, segments: list[int] | None = None) -> list[Episode]:
    """Hourly rows: open interest in coins; the price goes between 104 and 100 unless given."""
    n = len(oi)
    price = [104.0, 100.0] * n if price is None else price
    return episodes(
        np.arange(n, dtype=np.int64) * HOUR,
        np.log(np.array(oi)),
        np.log(np.array(price[:n])),
        np.array([0] * n if segments is None else segments, dtype=np.int64),
    )


def test_a_fall_of_eight_per_cent_from_its_peak_to_the_lowest_before_half_is_regained() -> None:
    #        0    1    2   3   4   5   6   7     8     9
    oi = [99.0, 100, 97, 91, 94, 88, 91, 93.8, 93.9, 80.0]
    assert found(oi) == [Episode(1, 3, 5), Episode(8, 9, 9)]  # half, sqrt(88 * 100), is regained at 93.9: the next peak


def test_less_than_eight_per_cent_is_none() -> None:
    assert found([100.0, 92.001]) == []
    assert found([100.0, 91.999]) == [Episode(0, 1, 1)]


def test_the_price_must_span_three_per_cent_within_the_day_before_whichever_way() -> None:
    oi = [100.0, 100, 100, 91]
    assert found(oi, [100.0, 100, 100, 102.99]) == []
    assert found(oi, [100.0, 100, 100, 103.01]) == [Episode(2, 3, 3)]
    assert found(oi, [103.01, 100, 100, 103]) == [Episode(2, 3, 3)]  # it came back within the day
    early = [103.01] + [100.0] * 30
    assert found([100.0] * 25 + [91.0], early) == []  # 25 hours ago is another day
    assert found([100.0] * 24 + [91.0], early) == [Episode(23, 24, 24)]


def test_the_peak_is_the_last_of_equal_ones_and_of_the_last_24_hours() -> None:
    assert found([100.0, 99, 100, 91]) == [Episode(2, 3, 3)]
    assert found([100.0] + [99.0] * 23 + [91.9]) == [Episode(0, 24, 24)]
    assert found([100.0] + [99.0] * 24 + [91.9]) == []  # of the 100 of 25 hours ago nothing is known any more


def test_a_slow_bleeding_ends_72_hours_after_the_peak() -> None:
    oi = [100.0] + [91.0 - 0.01 * n for n in range(200)]
    assert found(oi)[0] == Episode(0, 1, 72)
    assert len(found(oi)) == 1  # afterwards it falls too slowly to be another


def test_nothing_reaches_across_a_hole_and_unknown_ticks_are_left_out() -> None:
    assert found([100.0, 91.0], segments=[0, 1]) == []
    assert found([100.0, float("nan"), 91.0, 85.0], [104.0, 104, 100, 100]) == [Episode(0, 2, 3)]


def told(flush: list[bool], fed: list[bool] | None = None) -> dict[str, object]:
    """One fall from row 2 to row 6 of ten: 100, 98, 96, 92, 90."""
    oi = np.log(np.array([100.0, 99, 100, 98, 96, 92, 90, 95, 96, 97]))
    ts = np.arange(10, dtype=np.int64) * HOUR
    seen = np.array([True] * 10 if fed is None else fed)
    return judged([Episode(2, 5, 6)], ts, oi, np.array(flush), seen, 3_600.0)


def at(*rows: int) -> list[bool]:
    return [row in rows for row in range(10)]


def test_a_flush_that_begins_in_the_fall_is_found_with_how_much_was_over() -> None:
    numbers = told(at(4, 5, 7, 8))
    assert numbers["before_trough"] == {"value": 1.0, "low": pytest.approx(1 / (1 + 1.959964**2)), "high": 1.0, "n": 1}
    over, hours = log(100 / 96) / log(100 / 90), 2.0
    assert numbers["over"] == [pytest.approx(over)] * 3
    assert numbers["hours"] == [hours] * 3
    assert (numbers["begun"], numbers["false"]) == (2, 1)  # the one after the trough is of no fall


@pytest.mark.parametrize(
    ("flush", "share", "at_trough", "false"),
    [
        (at(), 0.0, 0, 0),
        (at(6), 0.0, 1, 0),  # when all is over it is too late, but not false
        (at(2), 0.0, 0, 0),  # begun at the peak: of no later leg
        (at(1, 2, 3, 4, 5), 0.0, 0, 1),  # one that still stands says nothing of the fall that begins in it
        (at(1, 5), 1.0, 0, 1),
    ],
)
def test_only_what_begins_between_peak_and_trough_finds_it(
    flush: list[bool], share: float, at_trough: int, false: int
) -> None:
    numbers = told(flush)
    recall = numbers["before_trough"]
    assert isinstance(recall, dict)
    assert (recall["value"], numbers["at_trough"], numbers["false"]) == (share, at_trough, false)


def test_what_could_not_be_seen_is_not_held_against_the_rule() -> None:
    numbers = told(at(8), [False] * 8 + [True] * 2)
    assert (numbers["n"], numbers["not_fed"]) == (0, 1)
    months = 2 / 720
    assert numbers["months"] == pytest.approx(months)
    rate = numbers["false_a_month"]
    assert isinstance(rate, dict)
    low, high = stats.poisson.interval(0.95, 1)
    assert rate["value"] == pytest.approx(1 / months)
    assert stats.poisson.sf(0, rate["low"] * months) == pytest.approx(0.025)
    assert stats.poisson.cdf(1, rate["high"] * months) == pytest.approx(0.025)
    assert (low, high) == (0, 3)  # the exact interval of the rate is wider than that of a known one


def test_without_data_nothing_is_claimed() -> None:
    numbers = told(at(), [False] * 10)
    assert numbers["false_a_month"] == {"value": None, "low": None, "high": None, "n": 0}
    assert numbers["over"] is None
