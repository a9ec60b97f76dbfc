"""volatility_24h: by hand, over gaps, and the same from hourly rows as from seconds."""

from __future__ import annotations

from itertools import pairwise
from math import log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.indicators.hours import HourlyCloses
from service.model import Consensus
from tests.indicators.build import sample

HOUR = 3_600_000
T0 = 1_763_683_200_000  # a full hour


def at(ts: int, price: float | None) -> Consensus:
    return sample(ts, price=price) if price is not None else sample(ts, quorum=False)


def fed(prices: dict[int, float | None]) -> HourlyCloses:
    """``prices`` by hours since T0."""
    hours = HourlyCloses()
    for hour, price in prices.items():
        hours.update(at(T0 + hour * HOUR, price))
    return hours


def test_by_hand() -> None:
    prices: dict[int, float | None] = {hour: 100.0 * 1.01 ** (hour % 2) for hour in range(25)}
    assert fed(prices).volatility_24h(T0 + 24 * HOUR) == pytest.approx(sqrt(24) * log(1.01))


def test_only_the_last_24_returns_count() -> None:
    prices: dict[int, float | None] = {0: 50.0} | dict.fromkeys(range(1, 26), 100.0)
    assert fed(prices).volatility_24h(T0 + 25 * HOUR) == 0.0  # the jump from 50 lies before them, and 0 is a value


@pytest.mark.parametrize(("missing", "known"), [((3,), True), ((3, 9), True), ((3, 9, 15), False)])
def test_null_below_20_of_24(missing: tuple[int, ...], known: bool) -> None:
    """A missing close takes two returns."""
    prices = {hour: None if hour in missing else 100.0 + hour for hour in range(25)}
    value = fed(prices).volatility_24h(T0 + 24 * HOUR)
    closes = [prices[hour] for hour in range(25)]
    pairs = pairwise(closes)
    squares = [log(b / a) ** 2 for a, b in pairs if a is not None and b is not None]
    assert value == (pytest.approx(sqrt(sum(squares))) if known else None)


def test_the_close_is_the_last_price_of_the_hour_and_the_full_hour_belongs_to_the_one_before() -> None:
    hours = HourlyCloses()
    for hour in range(25):
        hours.update(at(T0 + hour * HOUR - 1_800_000, 77.0))
        hours.update(at(T0 + hour * HOUR, 100.0))
        hours.update(at(T0 + hour * HOUR + 1_000, 130.0))
    assert hours.volatility_24h(T0 + 24 * HOUR) == 0.0


def test_a_running_hour_says_nothing_yet() -> None:
    hours = fed(dict.fromkeys(range(25), 100.0))
    hours.update(at(T0 + 24 * HOUR + 600_000, 200.0))
    assert hours.volatility_24h(T0 + 24 * HOUR + 600_000) == 0.0
    hours.update(at(T0 + 25 * HOUR, 200.0))
    assert hours.volatility_24h(T0 + 25 * HOUR) == pytest.approx(log(2))


@given(st.lists(st.floats(1, 1000), min_size=30, max_size=30), st.integers(0, 59))
def test_seconds_minutes_and_hourly_rows_give_the_same(closes: list[float], noise: int) -> None:
    """Live and back-test are one number: what lies between the full hours does not matter."""
    coarse, fine = HourlyCloses(), HourlyCloses()
    for hour, close in enumerate(closes):
        coarse.update(at(T0 + hour * HOUR, close))
        for minute in (-59, -noise, 0):
            fine.update(at(T0 + hour * HOUR + minute * 60_000, close if minute == 0 else close * 1.5))
    ts = T0 + 29 * HOUR
    assert coarse.volatility_24h(ts) == fine.volatility_24h(ts) is not None


def test_dump_and_load() -> None:
    hours = fed({hour: 100.0 + hour for hour in range(30)})
    again = HourlyCloses()
    again.load(hours.dump())
    assert again.volatility_24h(T0 + 29 * HOUR) == hours.volatility_24h(T0 + 29 * HOUR) is not None
    assert again.dump() == hours.dump()


@pytest.mark.parametrize(("delta_ms", "hours"), [(1_700_000, 0), (1_900_000, 1), (-1_900_000, -1), (-7_000_000, -2)])
def test_a_clock_set_anew_moves_whole_hours(delta_ms: int, hours: int) -> None:
    closes: dict[int, float | None] = {hour: 100.0 + hour * hour for hour in range(27)}
    moved = fed(closes)
    before = moved.volatility_24h(T0 + 25 * HOUR)
    moved.reanchor(delta_ms)
    assert moved.volatility_24h(T0 + (25 + hours) * HOUR) == before
    moved.update(at(T0 + (27 + hours) * HOUR, 100.0 + 27 * 27))
    expected = fed(closes | {27: 100.0 + 27 * 27}).volatility_24h(T0 + 27 * HOUR)
    assert moved.volatility_24h(T0 + (27 + hours) * HOUR) == expected is not None


def test_a_day_without_a_sample_forgets_what_was_before() -> None:
    hours = fed(dict.fromkeys(range(25), 100.0) | {60: 100.0, 61: 100.0})
    assert hours.volatility_24h(T0 + 61 * HOUR) is None
