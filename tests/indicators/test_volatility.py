"""Realised volatility: its formula, its boundaries, and that it never drifts."""

from __future__ import annotations

import math

import pytest

from service.indicators.volatility import Volatility
from tests.indicators.build import DAY_MINUTES, sample, through_json

M0 = 29_395_000
NOW = sample(0)


def fed(prices: dict[int, float | None]) -> Volatility:
    made = Volatility()
    for minute, price in prices.items():
        made.update(M0 + minute, price)
    return made


def test_sixty_returns_are_needed() -> None:
    prices: dict[int, float | None] = {m: 100.0 * (1.001 if m % 2 else 1.0) for m in range(60)}
    made = fed(prices)
    assert made.value(NOW) is None
    made.update(M0 + 60, 100.0)
    assert made.value(NOW) == pytest.approx(math.log(1.001) * math.sqrt(1440))


def test_only_consecutive_minutes_make_a_return() -> None:
    made = fed({m: 100.0 + m for m in range(0, 300, 2)})
    assert made.value(NOW) is None
    made = fed({m: None if m % 100 == 50 else 100.0 for m in range(200)})
    assert made._count == 195


def test_a_jump_leaves_no_trace_after_its_day() -> None:
    """A running sum would keep a rounding residue of the jump; a flat day must be exactly 0."""
    prices: dict[int, float | None] = {m: 3.3 if m < 100 else 7.7 for m in range(DAY_MINUTES + 101)}
    made = fed(prices)
    assert made.value(NOW) == 0.0
    del prices[DAY_MINUTES + 100], prices[DAY_MINUTES + 99]
    assert fed(prices).value(NOW) == pytest.approx(abs(math.log(7.7 / 3.3)) * math.sqrt(1440 / 1439))


def test_the_sum_is_that_of_a_day_taken_anew_also_after_a_load() -> None:
    prices = [100.0 * math.exp(0.3 * math.sin(m * m)) for m in range(DAY_MINUTES + 400)]
    made, loaded = fed(dict(enumerate(prices[: DAY_MINUTES + 200]))), Volatility()
    loaded.load(through_json(made.dump()))
    for minute in range(DAY_MINUTES + 200, len(prices)):
        for each in (made, loaded):
            each.update(M0 + minute, prices[minute])
        squares = [math.log(prices[m] / prices[m - 1]) ** 2 for m in range(minute - 1438, minute + 1)]
        expected = math.sqrt(math.fsum(squares) * 1440 / 1439)
        assert made.value(NOW) == loaded.value(NOW) == expected


def test_1439_returns_lie_between_the_minutes_of_a_day() -> None:
    assert fed(dict.fromkeys(range(3000), 100.0))._count == 1439


def test_the_last_completed_minute_is_not_in_its_own_statistics() -> None:
    made = fed(dict.fromkeys(range(62), 100.0))
    assert made.history.n == 1
    assert made.history.recent.oldest == M0 + 60
    made.advance(M0 + 62)
    assert made.history.n == 1


def test_minutes_without_a_price_have_a_volatility_until_too_few_returns_are_left() -> None:
    made = fed({m: 100.0 + m % 3 for m in range(100)})
    made.advance(M0 + 150)
    assert made.value(NOW) is not None
    assert made.history.n == 149 - 60  # of the minutes 60 to 148
    # Of 99 returns the 39 oldest, of the minutes 1 to 39, may go: return 39 counts until minute 39 + 1438.
    made.advance(M0 + 39 + 1438 + 2)
    assert made.value(NOW) is not None
    made.advance(M0 + 40 + 1438 + 2)
    assert made.value(NOW) is None


def test_a_stop_of_any_length_is_over_at_once() -> None:
    made = fed(dict.fromkeys(range(200), 100.0))
    made.update(M0 + 3_000_000, 50.0)
    assert made.value(NOW) is None
    assert made.history.n == 0
    for m in range(1, 61):
        made.update(M0 + 3_000_000 + m, 50.0)
    assert made.value(NOW) == 0.0


def test_back_after_two_days_without_a_price() -> None:
    """The first volatility after two days without quorum has nothing of the last 24 h to be measured by, only older
    values: a rank, no z. The median of nothing once stopped every tick of that minute."""
    prices: dict[int, float | None] = {m: 100.0 + m % 7 for m in range(300)}
    back = 300 + 2 * DAY_MINUTES
    made = fed(prices | {m: 100.0 + m % 5 for m in range(back, back + 61)})
    reading = made.read(M0 + back + 61, NOW)
    assert reading.value is not None
    assert reading.z is None
    assert reading.percentile is not None


def test_reanchor_and_reload() -> None:
    made = fed({m: 100.0 * (1 + 0.001 * (m % 7)) for m in range(1600)})
    made.reanchor(-13)
    other = Volatility()
    other.load(through_json(made.dump()))
    unmoved = fed({m: 100.0 * (1 + 0.001 * (m % 7)) for m in range(1600)})
    for m in range(1600, 1700):
        price = 100.0 * (1 + 0.001 * (m % 7))
        other.update(M0 + m - 13, price)
        unmoved.update(M0 + m, price)
        assert other.value(NOW) == unmoved.value(NOW)
    assert (other.history.n, len(other.history.recent)) == (unmoved.history.n, len(unmoved.history.recent))
