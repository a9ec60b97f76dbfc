"""Three trading horizons, each made of windows of its own on its own UTC grid (docs/signal.md section 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from service.model import Readings, WindowReading
from service.scoring.components import positioning
from service.scoring.composite import weighted_mean
from service.scoring.direction import Direction
from service.state import Stateful

# name, grid in ms, weights of the windows
MODES = (
    ("scalp", 30_000, (("1m", 2 / 3), ("5m", 1 / 3))),
    ("day", 60_000, (("1m", 0.2), ("5m", 0.5), ("1h", 0.3))),
    ("swing", 300_000, (("1h", 0.25), ("4h", 0.35), ("24h", 0.4))),
)

LONGER = ("4h", "24h")  # windows that no score but a mode's is made of
UNKNOWN: dict[str, Any] = {
    "score": None,
    "return": None,
    "oi_change": None,
    "z": {"return": None, "oi": None},
    "quadrant": None,
}


class Mode(Stateful):
    """One mode: score, bias and windows of its last grid tick; None before the first, and where that had no data."""

    STATE = ("_as_of", "_bias", "_score", "_windows")
    LATER: ClassVar = frozenset({"_windows"})
    __slots__ = (*STATE, "_grid_ms", "_weights")

    def __init__(self, grid_ms: int, weights: tuple[tuple[str, float], ...]) -> None:
        self._grid_ms = grid_ms
        self._weights = weights
        self._bias = Direction()
        self._score: float | None = None
        self._as_of: int | None = None
        self._windows: dict[str, dict[str, Any]] = {}  # what each said at as_of
        self._judge({}, {})

    def update(
        self, scores: Mapping[str, float | None], longer: Mapping[str, dict[str, Any]], quorum: bool, ts: int
    ) -> dict[str, Any]:
        """Its part of the message at tick ``ts``: new on the grid, unchanged in between."""
        if ts % self._grid_ms == 0:
            self._as_of = ts
            self._judge(scores, longer)
            self._score = weighted_mean([(window["weight"], window["score"]) for window in self._windows.values()])
            if quorum:
                self._bias.update(self._score)
            else:
                self._bias.lose()
        # Copies: whoever edits a message must not edit the next one.
        windows = {
            name: {key: dict(value) if key == "z" else value for key, value in window.items()}
            for name, window in self._windows.items()
        }
        return {"bias": self._bias.side, "score": self._score, "as_of": self._as_of, "windows": windows}

    def _judge(self, scores: Mapping[str, float | None], longer: Mapping[str, dict[str, Any]]) -> None:
        self._windows = {
            name: {"weight": weight} | (longer.get(name, UNKNOWN) if name in LONGER else {"score": scores.get(name)})
            for name, weight in self._weights
        }

    def reanchor(self, shift_ms: int) -> None:
        if self._as_of is not None:
            self._as_of += shift_ms


def _longer(window: WindowReading, readings: Readings) -> dict[str, Any]:
    """What a window of 4 h or 24 h says: ``positioning`` alone, so there is nothing for the gate to weigh."""
    said = positioning(window, readings)
    return {
        "score": said.score,
        "return": window.ret,
        "oi_change": window.oi_change,
        "z": said.z,
        "quadrant": said.quadrant,
    }


class Modes(Stateful):
    """All three, by name."""

    STATE = ("_modes",)
    __slots__ = ("_modes",)

    def __init__(self) -> None:
        self._modes = [Mode(grid_ms, weights) for _, grid_ms, weights in MODES]

    def update(self, scores: Sequence[tuple[str, float | None]], readings: Readings) -> dict[str, Any]:
        """Every tick, with the ``scores`` of its windows by name."""
        by_name, quorum, ts = dict(scores), readings.consensus.quorum, readings.ts
        longer: dict[str, dict[str, Any]] = {
            window.name: _longer(window, readings) for window in readings.swing_windows
        }
        return {
            name: mode.update(by_name, longer, quorum, ts)
            for (name, _, _), mode in zip(MODES, self._modes, strict=True)
        }

    def reanchor(self, shift_ms: int) -> None:
        for mode in self._modes:
            mode.reanchor(shift_ms)
