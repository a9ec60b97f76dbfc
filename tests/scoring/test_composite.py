from __future__ import annotations

from math import exp, tanh

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoring.composite import gate, mix, over_windows, score_window, weighted_mean
from tests.scoring.factory import level, no_data, readings, window

scores = st.none() | st.floats(-1, 1)


def test_gate() -> None:
    assert gate(None) == gate(0.0) == 0.5
    assert gate(1.0) == 1 / (1 + exp(-1.0))
    assert gate(1e308) == 1.0
    assert 0 <= gate(-1e308) < 1e-300


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_gate_rises_with_leverage(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= gate(low) <= gate(high) <= 1


def test_mix() -> None:
    assert mix(0.4, -0.8, 0.25) == 0.4 * 0.75 + -0.8 * 0.25
    assert mix(0.4, None, 0.9) == 0.4
    assert mix(None, -0.8, 0.1) == -0.8
    assert mix(None, None, 0.5) is None


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-50, 50))
def test_mix_stays_in_range(trend: float, contrarian: float, z: float) -> None:
    mixed = mix(trend, contrarian, gate(z))
    assert mixed is not None
    assert -1 <= mixed <= 1


def test_one_hour_window_mixes_means_of_both_kinds() -> None:
    now = readings(premium=level(z=1.0), funding=level(z=3.0), spread=level(z=2.0))
    said = score_window(window("1h", z_return=2.0, z_oi=4.0), now, 0.3)
    trend = (tanh(1.0) * tanh(2.0) + tanh(0.5)) / 2
    contrarian = (-tanh(1.0) + tanh(1.0) * 0.5) / 2
    assert said.trend == pytest.approx(trend, rel=1e-15)
    assert said.contrarian == pytest.approx(contrarian, rel=1e-15)
    assert said.score == pytest.approx(trend * 0.7 + contrarian * 0.3, rel=1e-15)


def test_a_kind_that_is_not_ready_leaves_the_other_alone() -> None:
    mute = level(z=None)
    trend_only = score_window(window("1h"), readings(funding=mute, spread=mute), 0.9)
    assert trend_only.contrarian is None
    assert trend_only.score == trend_only.trend
    contrarian_only = score_window(window("1h", z_oi=None), readings(premium=mute, funding=level(z=2.5)), 0.1)
    assert contrarian_only.trend is None
    assert contrarian_only.score == contrarian_only.contrarian


def test_ready_window_without_a_ready_component_has_no_score() -> None:
    said = score_window(window("1m", z_return=None), readings(), 0.5)
    assert (said.ready, said.score) == (True, None)


def test_components_of_an_unready_window_are_not_ready() -> None:
    said = score_window(window("1h", ready=False), readings(), 0.5)
    assert (said.ready, said.score, said.trend, said.contrarian) == (False, None, None, None)
    assert len(said.judged) == 4
    for _, judgement in said.judged:
        assert judgement.score is None
        assert judgement.quadrant is None
        assert set(judgement.z.values()) == {None}


def test_without_quorum_no_window_is_ready() -> None:
    """A window may still have its samples when the one at the tick lost the quorum."""
    said = score_window(window("1m"), readings(sample=no_data()), 0.5)
    assert (said.ready, said.score) == (False, None)


def test_over_windows_renormalises() -> None:
    assert over_windows([("1m", 0.1), ("5m", 0.2), ("1h", 0.4)]) == pytest.approx(0.02 + 0.06 + 0.2, rel=1e-15)
    assert over_windows([("1m", 0.1), ("5m", None), ("1h", 0.4)]) == pytest.approx((0.02 + 0.2) / 0.7, rel=1e-15)
    assert over_windows([("1m", None), ("5m", None), ("1h", None)]) is None
    assert over_windows([("1m", 0.0), ("5m", None), ("1h", None)]) == 0.0


@given(scores, scores, scores)
def test_composite_lies_between_its_windows(a: float | None, b: float | None, c: float | None) -> None:
    known = [x for x in (a, b, c) if x is not None]
    composite = over_windows([("1m", a), ("5m", b), ("1h", c)])
    assert (composite is None) == (not known)
    if composite is not None:
        assert min(known) - 1e-15 <= composite <= max(known) + 1e-15
        assert -1 <= composite <= 1


def test_weighted_mean_of_nothing_is_nothing() -> None:
    assert weighted_mean([]) is None
    assert weighted_mean([(2.0, None)]) is None
