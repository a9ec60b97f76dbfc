from __future__ import annotations

from typing import Any

import pytest

from service.scoring.modes import MODES, Modes
from tests.scoring.factory import T0, ticks

UP: list[tuple[str, float | None]] = [("1m", 0.4), ("5m", 0.2), ("1h", 0.1)]
DOWN: list[tuple[str, float | None]] = [("1m", -0.4), ("5m", -0.2), ("1h", None)]
NONE: list[tuple[str, float | None]] = [("1m", None), ("5m", None), ("1h", None)]


def test_weights_are_whole() -> None:
    assert [name for name, _, _ in MODES] == ["scalp", "day", "swing"]
    for _, _, weights in MODES:
        assert sum(weight for _, weight in weights) == pytest.approx(1.0)


def test_scores_of_the_three() -> None:
    said = Modes().update(UP, True, T0)
    assert said["scalp"] == {"bias": "long", "score": pytest.approx(0.24 + 0.06 + 0.01), "as_of": T0}
    assert said["day"] == {"bias": "long", "score": pytest.approx(0.08 + 0.10 + 0.03), "as_of": T0}
    assert said["swing"] == {"bias": "neutral", "score": pytest.approx(0.02 + 0.05 + 0.07), "as_of": T0}


def test_renormalised_over_windows_with_a_score() -> None:
    said = Modes().update(DOWN, True, T0)
    assert said["scalp"]["score"] == pytest.approx((-0.24 - 0.06) / 0.9)
    assert said["swing"]["score"] == pytest.approx((-0.02 - 0.05) / 0.3)


def test_unchanged_between_their_grids() -> None:
    modes = Modes()
    said: dict[str, Any] = {}
    changed: dict[str, list[int]] = {name: [] for name, _, _ in MODES}
    for n in range(31):
        before, said = said, modes.update(UP if n % 2 == 0 else DOWN, True, ticks(n))
        for name, times in changed.items():
            if not before or said[name]["as_of"] != before[name]["as_of"]:
                times.append(n)
            else:
                assert said[name] == before[name]
    assert changed == {"scalp": list(range(0, 31, 3)), "day": list(range(0, 31, 6)), "swing": [0, 30]}


def test_bias_has_hysteresis() -> None:
    modes = Modes()
    flat: list[tuple[str, float | None]] = [("1m", 0.12), ("5m", 0.12), ("1h", 0.12)]
    assert modes.update(flat, True, T0)["scalp"]["bias"] == "neutral"
    assert modes.update(UP, True, ticks(3))["scalp"]["bias"] == "long"
    assert modes.update(flat, True, ticks(6))["scalp"]["bias"] == "long"
    assert modes.update(NONE, True, ticks(9))["scalp"]["bias"] == "neutral"
    assert modes.update(flat, True, ticks(12))["scalp"]["bias"] == "neutral"


def test_unknown_before_the_first_grid_tick_and_without_data() -> None:
    modes = Modes()
    unknown = {"bias": None, "score": None, "as_of": None}
    assert modes.update(UP, True, ticks(1)) == {"scalp": unknown, "day": unknown, "swing": unknown}
    assert modes.update(NONE, False, ticks(3))["scalp"] == {"bias": None, "score": None, "as_of": ticks(3)}


def test_reanchor_moves_as_of() -> None:
    modes = Modes()
    modes.reanchor(4_000)
    modes.update(UP, True, T0)
    modes.reanchor(4_000)
    assert modes.update(UP, True, ticks(1))["day"]["as_of"] == T0 + 4_000
