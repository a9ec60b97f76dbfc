from __future__ import annotations

import json
from dataclasses import replace
from math import tanh
from typing import Any

import pytest

from service.model import Readings, WindowReading
from service.scoring.modes import MODES, Modes
from tests.scoring.factory import T0, no_data, readings, ticks

Scores = list[tuple[str, float | None]]
UP: Scores = [("1m", 0.4), ("5m", 0.2), ("1h", 0.1)]
DOWN: Scores = [("1m", -0.4), ("5m", -0.2), ("1h", None)]
NONE: Scores = [("1m", None), ("5m", None), ("1h", None)]
FLAT: Scores = [("1m", 0.12), ("5m", 0.12), ("1h", 0.12)]
NOTHING = {"score": None, "return": None, "oi_change": None, "z": {"return": None, "oi": None}, "quadrant": None}


def long_window(name: Any, z_return: float | None, z_oi: float | None) -> WindowReading:
    return WindowReading(name, 14_400, True, 0.01, 0.02, z_return, z_oi, None, None)


LONG = (long_window("4h", 1.0, 2.0), long_window("24h", -2.0, -1.0))
SCORE_4H, SCORE_24H = tanh(0.5) * tanh(1.0), -tanh(1.0) * tanh(0.5) * 0.5


def at(ts: int, longer: tuple[WindowReading, ...] = (), quorum: bool = True) -> Readings:
    return replace(readings(ts, None if quorum else no_data(ts)), swing_windows=longer)


def said_at(modes: Modes, scores: Scores, n: int, quorum: bool = True) -> dict[str, Any]:
    return modes.update(scores, at(ticks(n), quorum=quorum))


def test_weights_are_whole() -> None:
    assert [name for name, _, _ in MODES] == ["scalp", "day", "swing"]
    for _, _, weights in MODES:
        assert sum(weight for _, weight in weights) == pytest.approx(1.0)


def test_scores_of_the_three() -> None:
    said = Modes().update(UP, at(T0, LONG))
    assert said["scalp"] == {
        "bias": "long",
        "score": pytest.approx(0.4 * 2 / 3 + 0.2 / 3),
        "as_of": T0,
        "windows": {"1m": {"weight": 2 / 3, "score": 0.4}, "5m": {"weight": 1 / 3, "score": 0.2}},
    }
    assert said["day"]["score"] == pytest.approx(0.08 + 0.10 + 0.03)
    assert list(said["day"]["windows"]) == ["1m", "5m", "1h"]
    assert said["swing"]["score"] == pytest.approx(0.1 * 0.25 + SCORE_4H * 0.35 + SCORE_24H * 0.4)
    assert said["swing"]["windows"] == {
        "1h": {"weight": 0.25, "score": 0.1},
        "4h": {
            "weight": 0.35,
            "score": pytest.approx(SCORE_4H),
            "return": 0.01,
            "oi_change": 0.02,
            "z": {"return": 1.0, "oi": 2.0},
            "quadrant": "long_build_up",
        },
        "24h": {
            "weight": 0.4,
            "score": pytest.approx(SCORE_24H),
            "return": 0.01,
            "oi_change": 0.02,
            "z": {"return": -2.0, "oi": -1.0},
            "quadrant": "long_unwinding",
        },
    }
    assert list(said["swing"]["windows"]["4h"]) == ["weight", "score", "return", "oi_change", "z", "quadrant"]


def test_renormalised_over_windows_with_a_score() -> None:
    """A window whose scale is not known yet says how far things went, and no score."""
    said = Modes().update(DOWN, at(T0, (long_window("4h", None, None), LONG[1])))
    assert said["day"]["score"] == pytest.approx((-0.08 - 0.10) / 0.7)
    assert said["swing"]["score"] == pytest.approx(SCORE_24H)
    assert said["swing"]["windows"]["4h"] == NOTHING | {"weight": 0.35, "return": 0.01, "oi_change": 0.02}


def test_without_longer_windows_swing_is_its_hour() -> None:
    said = Modes().update(UP, at(T0))["swing"]
    assert said["score"] == pytest.approx(0.1)
    assert said["windows"]["24h"] == {"weight": 0.4} | NOTHING


def test_scalp_hears_nothing_above_five_minutes() -> None:
    one, other = Modes(), Modes()
    assert one.update(UP, at(T0))["scalp"] == other.update([*UP[:2], ("1h", -1.0)], at(T0, LONG))["scalp"]


def test_unchanged_between_their_grids() -> None:
    modes = Modes()
    said: dict[str, Any] = {}
    changed: dict[str, list[int]] = {name: [] for name, _, _ in MODES}
    for n in range(31):
        before, said = said, said_at(modes, UP if n % 2 == 0 else DOWN, n)
        for name, times in changed.items():
            if not before or said[name]["as_of"] != before[name]["as_of"]:
                times.append(n)
            else:
                assert said[name] == before[name]
    assert changed == {"scalp": list(range(0, 31, 3)), "day": list(range(0, 31, 6)), "swing": [0, 30]}


def test_bias_has_hysteresis() -> None:
    modes = Modes()
    assert said_at(modes, FLAT, 0)["scalp"]["bias"] == "neutral"
    assert said_at(modes, UP, 3)["scalp"]["bias"] == "long"
    assert said_at(modes, FLAT, 6)["scalp"]["bias"] == "long"
    assert said_at(modes, NONE, 9)["scalp"]["bias"] == "neutral"
    assert said_at(modes, FLAT, 12)["scalp"]["bias"] == "neutral"


def test_unknown_before_the_first_grid_tick_and_without_data() -> None:
    modes = Modes()
    first = said_at(modes, UP, 1)
    for mode in first.values():
        assert (mode["bias"], mode["score"], mode["as_of"]) == (None, None, None)
        assert [window["score"] for window in mode["windows"].values()] == [None] * len(mode["windows"])
    scalp = said_at(modes, NONE, 3, quorum=False)["scalp"]
    assert (scalp["bias"], scalp["score"], scalp["as_of"]) == (None, None, ticks(3))


def test_windows_between_two_grids_survive_a_restart_and_an_older_state_has_none() -> None:
    modes, again, older = Modes(), Modes(), Modes()
    modes.update(UP, at(T0, LONG))
    plain = json.loads(json.dumps(modes.dump()))
    again.load(plain)
    assert said_at(again, DOWN, 1) == said_at(modes, DOWN, 1)
    for mode in plain["_modes"]:
        del mode["_windows"]
    older.load(plain)
    swing = said_at(older, DOWN, 1)["swing"]
    assert swing["as_of"] == T0
    assert swing["windows"]["4h"] == {"weight": 0.35} | NOTHING


def test_reanchor_moves_as_of() -> None:
    modes = Modes()
    modes.reanchor(4_000)
    modes.update(UP, at(T0))
    modes.reanchor(4_000)
    assert said_at(modes, UP, 1)["day"]["as_of"] == T0 + 4_000
