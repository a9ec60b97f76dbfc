"""Closes of hours and of 300 s by hand: volatility_24h, changes and scales, gaps, a fill, and older states."""

from __future__ import annotations

import base64
from array import array
from dataclasses import replace
from itertools import pairwise
from math import exp, log, nan, sqrt
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.indicators.hours import GridCloses, HourlyCloses
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


# -- nine days, a week, and a day of 300 s ------------------------------------------------------------------------


class Past(NamedTuple):
    ts: int
    price: float
    ln_oi: float


def levelled(count: int, per_hour: float = 0.01) -> HourlyCloses:
    """``count`` hours; open interest and price grow by ``per_hour`` each."""
    hours = HourlyCloses()
    for hour in range(count):
        hours.update(sample(T0 + hour * HOUR, price=100 * exp(hour * per_hour), ln_oi_index=hour * per_hour))
    return hours


def test_change_7d_by_hand() -> None:
    now = sample(T0 + 168 * HOUR + 1_800_000, ln_oi_index=1.7)
    hours = levelled(169)
    hours.update(now)
    assert hours.change_7d(now.ts, now) == 1.7  # the close of T0 is 0
    later = sample(T0 + 169 * HOUR, ln_oi_index=1.7)
    hours.update(later)
    assert hours.change_7d(later.ts, later) == pytest.approx(1.69)
    assert hours.change_7d(later.ts, replace(later, quorum=False)) is None
    young = levelled(168)
    assert young.change_7d(T0 + 167 * HOUR, sample(T0 + 167 * HOUR)) is None


def test_scale_by_hand() -> None:
    """Root mean square of the changes there are: 0.01 each, and 72 of them at least."""
    assert levelled(77).scale(T0 + 75 * HOUR, 4) is None
    scale = levelled(77).scale(T0 + 76 * HOUR, 4)
    assert scale == (pytest.approx(0.01), pytest.approx(0.01))
    assert levelled(97).scale(T0 + 95 * HOUR, 24) is None
    assert levelled(97).scale(T0 + 96 * HOUR, 24) is not None


def test_a_scale_knows_nothing_of_the_window_it_measures() -> None:
    """Cause guarded against: a fall that makes its own scale looks ordinary."""
    calm, shaken = levelled(200), levelled(196)
    for hour in range(196, 200):
        shaken.update(sample(T0 + hour * HOUR, price=50.0, ln_oi_index=-3.0))
    assert calm.scale(T0 + 199 * HOUR, 4) == shaken.scale(T0 + 199 * HOUR, 4) is not None


def test_only_a_week_of_changes_counts() -> None:
    wild = HourlyCloses()
    for hour in range(200):
        wild.update(sample(T0 + hour * HOUR, price=100.0, ln_oi_index=hour % 2 if hour < 27 else 0.0))
    assert wild.scale(T0 + 199 * HOUR, 4) == (0.0, 0.0)  # the hours 27 to 195
    assert wild.scale(T0 + 198 * HOUR, 4) == (0.0, 0.0)  # 26 is even: its close is 0 as well
    last = wild.scale(T0 + 197 * HOUR, 4)  # 25 to 26 is a change of 1
    assert last == (0.0, pytest.approx(sqrt(1 / 168)))


def test_published_history_fills_only_what_is_missing() -> None:
    """Own closes stay; the row's open interest is moved by the offset; the running hour and the future are not taken;
    what was read before is made anew."""
    hours = HourlyCloses()
    for hour in range(190, 200):
        hours.update(sample(T0 + hour * HOUR, price=100.0, ln_oi_index=0.5))
    hours.update(sample(T0 + 199 * HOUR + 60_000, price=100.0, ln_oi_index=0.5))  # hour 200 runs
    now = T0 + 199 * HOUR
    assert (hours.volatility_24h(now), hours.scale(now, 24)) == (None, None)
    hours.fill([Past(T0 + hour * HOUR, 50.0, 0.1 * hour) for hour in range(-100, 260)], offset=-19.0)
    assert hours.at(T0 // HOUR + 189) == (log(50.0), pytest.approx(0.1 * 189 - 19.0))
    assert hours.at(T0 // HOUR + 190) == (log(100.0), 0.5)
    assert hours.at(T0 // HOUR + 200) == (log(100.0), 0.5)
    assert hours.volatility_24h(now) == pytest.approx(log(2))
    assert hours.scale(now, 24) == (0.0, pytest.approx(0.1))
    assert hours.change_7d(now, sample(now, ln_oi_index=0.5)) == pytest.approx(0.5 - (0.1 * 31 - 19.0))


def test_a_fill_before_the_first_sample_does_nothing() -> None:
    hours = HourlyCloses()
    hours.fill([Past(T0, 50.0, 0.1)], 0.0)
    assert hours.dump() == HourlyCloses().dump()


def test_an_hour_with_a_price_of_before_the_upgrade_gets_its_open_interest_filled() -> None:
    """Cause guarded against: earlier versions kept prices alone, so the last day of such a state never had a level."""
    plain = fed(dict.fromkeys(range(28), 100.0)).dump()
    del plain["_ln_oi"]
    again = HourlyCloses()
    again.load(plain)
    assert again.at(T0 // HOUR + 20) is None
    again.fill([Past(T0 + 20 * HOUR, 77.0, 0.25)], 1.0)
    assert again.at(T0 // HOUR + 20) == (log(100.0), 1.25)


@given(st.integers(1, 90))
def test_a_state_of_28_hours_is_gone_on_from(count: int) -> None:
    """Cause guarded against: another number of slots, and every close of an older state stands at another hour."""
    closes: dict[int, float | None] = {hour: 100.0 + hour * hour for hour in range(count)}
    whole = fed(closes)
    newest = T0 // HOUR + count - 1
    old = array("d", [nan] * 28)
    for hour in range(max(count - 28, 0), count):
        old[(T0 // HOUR + hour) % 28] = log(100.0 + hour * hour)
    packed = {"type": "d", "base64": base64.b64encode(old.tobytes()).decode()}
    again = HourlyCloses()
    again.load({"_closes": packed, "_hour": newest})
    ts = T0 + (count - 1) * HOUR
    assert again.volatility_24h(ts) == whole.volatility_24h(ts)
    for hours in (again, whole):
        hours.update(at(ts + HOUR, 99.0))
    assert again.volatility_24h(ts + HOUR) == whole.volatility_24h(ts + HOUR)


def test_a_state_without_slots_is_refused() -> None:
    plain = HourlyCloses().dump() | {"_closes": {"type": "d", "base64": ""}}
    with pytest.raises(ValueError, match="closes"):
        HourlyCloses().load(plain)


@pytest.mark.parametrize("delta_ms", [3_600_000, -7_200_000, 86_400_000, -72_000_000])
def test_a_clock_set_anew_moves_the_levels_too(delta_ms: int) -> None:
    hours, still = levelled(216, 0.02), levelled(216, 0.02)
    hours.reanchor(delta_ms)
    for hour in (0, 100, 215):
        moved = hours.at((T0 + hour * HOUR + delta_ms) // HOUR)
        assert moved == still.at(T0 // HOUR + hour) is not None
    assert hours.scale(T0 + 210 * HOUR + delta_ms, 24) == still.scale(T0 + 210 * HOUR, 24) is not None


def test_grid_closes_take_the_last_minute_of_their_300_s() -> None:
    grid = GridCloses()
    for ts, price in ((T0 - 60_000, 1.0), (T0 - 59_999, 2.0), (T0 - 1, 3.0), (T0 + 1, 4.0)):
        grid.update(sample(ts, price=price, ln_oi_index=price))
    step = T0 // 300_000
    assert grid.at(step) == (log(3.0), 3.0)
    assert (grid.at(step + 1), grid.at(step - 1), grid.at(step + 2)) == (None, None, None)
    grid.update(sample(T0 + 299_000, quorum=False))
    assert grid.at(step + 1) is None
    early = GridCloses()
    early.update(sample(T0 - 60_000, price=1.0))
    assert early.at(step) is None  # a minute before is another step's, or none's


def test_grid_closes_keep_a_day_and_forget_over_a_gap() -> None:
    grid = GridCloses()
    step = T0 // 300_000
    for n in range(289):
        grid.update(sample(T0 + n * 300_000, price=100.0 + n, ln_oi_index=float(n)))
    assert grid.at(step) == (log(100.0), 0.0)
    grid.update(sample(T0 + 600 * 300_000, price=7.0))
    assert [grid.at(step + n) for n in (0, 288, 310, 599)] == [None] * 4
    assert grid.at(step + 600) is not None


def test_grid_closes_move_by_whole_steps() -> None:
    grid = GridCloses()
    step = T0 // 300_000
    for n in range(300):
        grid.update(sample(T0 + n * 300_000, price=100.0 + n))
    before = [grid.at(step + n) for n in range(10, 300)]
    grid.reanchor(140_000)
    assert [grid.at(step + n) for n in range(10, 300)] == before
    grid.reanchor(-301_000)
    assert [grid.at(step + n - 1) for n in range(10, 300)] == before
