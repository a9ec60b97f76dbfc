"""Scales as known before the move: readiness, floors, age, gaps. Their values are checked in test_symbol."""

from __future__ import annotations

import math

import pytest

from service.indicators.scale import Scales
from tests.indicators.build import through_json

T = 1_763_720_520


def scales(updates: int, ret: float = 0.001, oi: float = 0.002) -> Scales:
    made = Scales()
    for n in range(updates):
        made.update(T + 10 * n, ret, oi)
    return made


def test_ready_after_sixty_updates_as_known_then() -> None:
    made = scales(61)
    assert made.z(T + 589, 60, 0.001, 0.002) == (None, None, None, None)
    z_return, z_oi, slow_return, slow_oi = made.z(T + 590, 60, 0.001, 0.002)
    assert z_return == pytest.approx(1 / math.sqrt(6))
    assert z_oi == pytest.approx(1 / math.sqrt(6))
    assert (slow_return, slow_oi) == (None, None)


def test_a_move_never_measures_itself() -> None:
    made = scales(100)
    before = made.z(T + 990, 60, 0.5, 0.5)
    made.update(T + 1000, 0.5, 0.5)
    assert made.z(T + 999, 60, 0.5, 0.5) == before
    after = made.z(T + 1000, 60, 0.5, 0.5)[0]
    assert after is not None
    assert before[0] is not None
    assert after < before[0] / 10


def test_slow_scales_need_a_day_of_updates() -> None:
    made = scales(8_640)
    assert made.z(T + 86_390 - 1, 3600, 0.001, 0.002)[2:] == (None, None)
    assert made.z(T + 86_390, 3600, 0.001, 0.002)[2:] == pytest.approx((1 / math.sqrt(360), 1 / math.sqrt(360)))


def test_a_minute_counts_as_six_updates_of_a_sixth() -> None:
    minutes, ticks = Scales(), Scales()
    for n in range(10):
        minutes.update(T + 60 * n, 0.006, -0.003, 60)
        for _ in range(6):
            ticks.update(T + 60 * n, 0.006 / math.sqrt(6), 0.003 / math.sqrt(6))
    assert minutes.fast_return.n == 60
    assert minutes.z(T + 540, 300, 0.1, 0.2) == pytest.approx(ticks.z(T + 540, 300, 0.1, 0.2))
    assert minutes.z(T + 539, 300, 0.1, 0.2)[0] is None


def test_floors_and_zeros() -> None:
    made = scales(60, ret=0.0, oi=0.0)
    assert made.z(T + 590, 60, 1e-5, 1e-6)[:2] == pytest.approx((1.0, 1.0))
    assert made.z(T + 590, 60, 0.0, 0.0)[:2] == (0.0, 0.0)
    assert made.z(T + 590, 60, 0.0, None)[:2] == (0.0, None)


def test_the_latest_scale_is_known_however_long_ago() -> None:
    made = scales(700)
    known = made.z(T + 6990, 60, 0.01, 0.01)
    assert made.z(T + 6990 + 500_000, 60, 0.01, 0.01) == known
    made.update(T + 600_000, 0.001, 0.002)
    assert made.z(T + 599_999, 60, 0.01, 0.01) == known


def test_an_hour_back_is_always_kept_and_no_more_than_needed() -> None:
    made = scales(5_000)
    assert made.z(T + 49_990 - 3600, 60, 0.01, 0.01)[0] is not None
    assert len(made._seconds) <= 361 + 64


def test_reanchor_and_reload() -> None:
    made = scales(500)
    expected = made.z(T + 4_000, 60, 0.01, 0.01)
    made.reanchor(-7)
    other = Scales()
    other.load(through_json(made.dump()))
    assert other.z(T + 3_993, 60, 0.01, 0.01) == expected
    assert other.dump() == made.dump()
