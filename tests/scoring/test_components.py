from __future__ import annotations

from dataclasses import replace
from math import copysign, tanh

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoring.components import (
    COMPONENTS,
    OF_WINDOW,
    dead,
    divergence,
    funding,
    liquidations,
    positioning,
    premium,
    quadrant,
    taker_flow,
)
from service.scoring.composite import score_window
from tests.scoring.factory import consensus, forced, level, readings, taken, window, z_for

zs = st.floats(-1e6, 1e6)


def test_the_table_is_the_one_of_the_contract() -> None:
    assert [(c.id, c.windows, c.kind, c.weight) for c in COMPONENTS] == [
        ("positioning", ("1m", "5m", "1h"), "trend", 1.0),
        ("taker_flow", ("1m", "5m"), "trend", 1.0),
        ("liquidations", ("1m", "5m"), "pressure", 1.0),
        ("premium", ("1h",), "trend", 1.0),
        ("funding", ("1h",), "contrarian", 1.0),
        ("divergence", ("1h",), "contrarian", 1.0),
    ]
    assert {name: [c.id for c in parts] for name, parts in OF_WINDOW.items()} == {
        "1m": ["positioning", "taker_flow", "liquidations"],
        "5m": ["positioning", "taker_flow", "liquidations"],
        "1h": ["positioning", "premium", "funding", "divergence"],
    }


@pytest.mark.parametrize(
    ("z_return", "z_oi", "expected"),
    [
        (1.2, 0.8, tanh(0.6) * tanh(0.4)),
        (1.2, -0.8, tanh(0.6) * tanh(0.4) * 0.5),
        (-1.2, 0.8, -tanh(0.6) * tanh(0.4)),
        (-1.2, -0.8, -tanh(0.6) * tanh(0.4) * 0.5),
        (1.2, 0.0, 0.0),
        (0.0, 3.0, 0.0),
        (1.2, None, None),
        (None, 0.8, None),
    ],
)
def test_positioning(z_return: float | None, z_oi: float | None, expected: float | None) -> None:
    said = positioning(window("5m", z_return=z_return, z_oi=z_oi), readings())
    assert said.score == expected
    assert said.z == {"return": z_return, "oi": z_oi}


@pytest.mark.parametrize(
    ("z_return", "z_oi", "expected"),
    [
        (0.1, 0.1, "long_build_up"),
        (-0.1, 0.1, "short_build_up"),
        (0.1, -0.1, "short_covering"),
        (-0.1, -0.1, "long_unwinding"),
        (0.0, 0.1, None),
        (0.1, 0.0, None),
    ],
)
def test_quadrant(z_return: float, z_oi: float, expected: str | None) -> None:
    assert quadrant(z_return, z_oi) == expected
    assert positioning(window("1m", z_return=z_return, z_oi=z_oi), readings()).quadrant == expected


def test_quadrant_is_unknown_with_a_z() -> None:
    assert positioning(window("1m", z_return=None, z_oi=2.0), readings()).quadrant is None


@pytest.mark.parametrize(("z", "expected"), [(1.4, tanh(0.7)), (-0.6, -tanh(0.3)), (0.0, 0.0), (None, None)])
def test_taker_flow(z: float | None, expected: float | None) -> None:
    said = taker_flow(window("1m", **taken(3.0, 2.0, 0.2, z)), readings())
    assert (said.score, said.z, said.quadrant) == (expected, {"taker": z}, None)


@pytest.mark.parametrize(
    ("name", "imbalance", "intensity", "expected"),
    [
        ("1m", 1.0, 2e-4, tanh(1.0)),
        ("5m", 1.0, 5e-4, tanh(1.0)),
        ("5m", -0.5, 1e-3, -0.5 * tanh(2.0)),
        ("1m", 0.0, 1e-3, 0.0),
        ("1m", None, None, None),
    ],
)
def test_liquidations(name: str, imbalance: float | None, intensity: float | None, expected: float | None) -> None:
    """Longs sold push down, shorts bought back push up; nobody heard of is not balanced."""
    said = liquidations(window(name, **forced(2.0, 1.0, imbalance, intensity)), readings())
    assert said.score == (None if expected is None else pytest.approx(expected, rel=1e-15))
    assert said.z == {"imbalance": imbalance, "intensity": intensity}


def test_pressure_counts_on_the_side_of_the_trend() -> None:
    now = readings(w5m={"z_return": None} | taken(9.0, 1.0, 0.8, z_for(0.6)) | forced(0.0, 5.0, 1.0, 5e-4))
    scored = score_window(now.windows[1], now, 0.75)
    assert scored.trend == pytest.approx((0.6 + tanh(1.0)) / 2, rel=1e-12)
    assert (scored.contrarian, scored.score) == (None, scored.trend)


def test_a_window_with_flow_alone_has_its_score_from_it() -> None:
    now = readings(w1m={"z_oi": None} | taken(1.0, 9.0, -0.8, z_for(-0.4)))
    assert score_window(now.windows[0], now, 0.5).score == pytest.approx(-0.4, rel=1e-12)


def test_premium() -> None:
    assert premium(window("1h"), readings(premium=level(z=1.4))).score == tanh(0.7)
    assert premium(window("1h"), readings(premium=level(z=None))).score is None


@pytest.mark.parametrize(("z", "expected"), [(0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (1.5, 0.5), (-1.5, -0.5), (4.0, 3.0)])
def test_dead_zone(z: float, expected: float) -> None:
    assert dead(z) == expected


@given(zs)
def test_dead_zone_is_the_formula(z: float) -> None:
    assert dead(z) == copysign(max(abs(z) - 1, 0), z)


def test_funding_leans_against_who_pays() -> None:
    assert funding(window("1h"), readings(funding=level(z=3.0))).score == -tanh(1.0)
    assert funding(window("1h"), readings(funding=level(z=-3.0))).score == tanh(1.0)
    assert funding(window("1h"), readings(funding=level(z=None))).score is None


@pytest.mark.parametrize(
    ("sign", "z", "expected"),
    [
        (1, 2.0, -tanh(1.0) * 0.5),
        (-1, 2.0, tanh(1.0) * 0.5),
        (0, 2.0, 0.0),
        (1, -2.0, 0.0),
        (1, 0.0, 0.0),
        (1, None, None),
    ],
)
def test_divergence(sign: int, z: float | None, expected: float | None) -> None:
    now = readings(sample=consensus(funding_outlier_sign=sign), spread=level(z=z))
    assert divergence(window("1h"), now).score == expected


@given(zs, zs, zs, zs, st.sampled_from([-1, 0, 1]))
def test_scores_are_bounded_and_never_minus_zero(r: float, d: float, premium: float, rate: float, sign: int) -> None:
    now = readings(
        sample=consensus(funding_outlier_sign=sign), premium=level(z=premium), funding=level(z=rate), spread=level(z=d)
    )
    flow = taken(1.0, 1.0, 0.0, premium) | forced(1.0, 1.0, tanh(rate), abs(d))
    for name, part in ((name, part) for name, parts in OF_WINDOW.items() for part in parts):
        score = part.judge(window(name, z_return=r, z_oi=d, **flow), now).score
        assert score is not None
        assert -1 <= score <= 1
        assert score != 0 or copysign(1, score) == 1


@given(zs, zs)
def test_a_mirrored_market_scores_the_mirror(r: float, d: float) -> None:
    one = positioning(window("1m", z_return=r, z_oi=d), readings()).score
    other = positioning(window("1m", z_return=-r, z_oi=d), readings()).score
    assert one is not None
    assert other == -one


def test_missing_readings_do_not_leak_between_components() -> None:
    now = replace(readings(), premium=level(z=None))
    scores = {c.id: c.judge(window("1h"), now).score for c in OF_WINDOW["1h"]}
    assert [name for name, score in scores.items() if score is None] == ["premium"]
