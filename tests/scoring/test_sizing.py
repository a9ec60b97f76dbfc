from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.scoring.sizing import size_fraction, stop_multiplier

unit = st.floats(0, 1)


def test_size() -> None:
    assert size_fraction(0.6, 0.8, 0.5, True, "long") == pytest.approx(0.2 * 0.8 * 0.75)
    assert size_fraction(0.6, 0.8, 0.0, True, "short") == pytest.approx(0.2 * 0.8)


@pytest.mark.parametrize(
    ("p_hit", "fragility", "tradeable", "direction"),
    [
        (0.5, 0.5, True, "long"),
        (0.4, 0.5, True, "long"),
        (0.9, None, True, "long"),
        (0.9, 0.5, False, "long"),
        (0.9, 0.5, True, "neutral"),
        (0.9, 0.5, True, None),
    ],
)
def test_no_size(p_hit: float, fragility: float | None, tradeable: bool, direction: str | None) -> None:
    assert size_fraction(p_hit, 0.8, fragility, tradeable, direction) == 0.0


@given(unit, unit, unit)
def test_size_is_a_share(p_hit: float, confidence: float, fragility: float) -> None:
    assert 0 <= size_fraction(p_hit, confidence, fragility, True, "long") <= confidence


@pytest.mark.parametrize(
    ("conflict", "momentum", "agreement", "count", "expected"),
    [
        (True, "steady", 1.0, 3, 1.5),
        (False, "decelerating", 1.0, 3, 1.5),
        (False, "accelerating", 1.0, 3, 0.8),
        (False, "steady", 1.0, 2, 0.8),
        (False, "steady", 1.0, 1, 1.0),
        (False, "steady", 0.9999999999, 3, 1.0),
        (False, "steady", 1.0, 0, 1.0),
    ],
)
def test_stop(conflict: bool, momentum: str, agreement: float, count: int, expected: float) -> None:
    assert stop_multiplier(conflict, momentum, agreement, count) == expected
