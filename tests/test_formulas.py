"""The formulas shared by the stages: what they are, and that nothing is an exception."""

from __future__ import annotations

import doctest
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import formulas
from service.formulas import change, log_change, quadrant, rate_8h, ratio

AMOUNT = st.one_of(st.sampled_from((0.0, 5e-324, 1e-300, 1e36)), st.floats(0.0, 1e36))


def test_examples() -> None:
    result = doctest.testmod(formulas)
    assert (result.failed, result.attempted > 0) == (0, True)


@given(AMOUNT, AMOUNT)
def test_a_quotient_is_a_number_or_undefined(upper: float, lower: float) -> None:
    found = ratio(upper, lower)
    if found is None:
        assert lower == 0 or Fraction(upper) / Fraction(lower) > Fraction(1.7e308)
    else:
        assert found == pytest.approx(float(Fraction(upper) / Fraction(lower)), rel=1e-15)
        assert change(upper, lower) == found - 1.0


@given(AMOUNT, AMOUNT)
def test_a_log_change_is_finite_and_turns_round(now: float, before: float) -> None:
    found, back = log_change(now, before), log_change(before, now)
    if now == 0 or before == 0:
        assert (found, back) == (None, None)
        return
    assert found is not None
    assert back is not None
    assert math.isfinite(found)
    assert found == pytest.approx(-back, rel=1e-12, abs=1e-15)


def test_a_small_log_change_keeps_its_digits() -> None:
    """Through the quotient: the difference of two logarithms of 27 would keep nine digits of these."""
    assert log_change(1e12 * (1 + 2**-30), 1e12) == pytest.approx(2**-30, rel=1e-6)
    assert log_change(1e36, 5e-324) == pytest.approx(math.log(1e36) - math.log(5e-324))  # no float holds the quotient


def test_rates_per_8_h() -> None:
    assert rate_8h(-3e-4, 1.0) == -3e-4 * 8
    assert rate_8h(0.0, 8.0) == 0.0
    assert rate_8h(1e-4, 0.0) is None


@pytest.mark.parametrize(
    ("price", "oi", "expected"),
    [
        (1e-9, 1e-9, "long_build_up"),
        (-1.0, 1.0, "short_build_up"),
        (1.0, -1.0, "short_covering"),
        (-1.0, -1.0, "long_unwinding"),
        (0.0, 1.0, None),
        (1.0, -0.0, None),
    ],
)
def test_quadrants(price: float, oi: float, expected: str | None) -> None:
    assert quadrant(price, oi) == expected
