"""The same windows weighed for three trading horizons, each on its own UTC grid (docs/signal.md section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.scoring.composite import over_windows
from service.scoring.direction import Direction
from service.state import Stateful

# name, grid in ms, weights of the windows
MODES = (
    ("scalp", 30_000, (("1m", 0.6), ("5m", 0.3), ("1h", 0.1))),
    ("day", 60_000, (("1m", 0.2), ("5m", 0.5), ("1h", 0.3))),
    ("swing", 300_000, (("1m", 0.05), ("5m", 0.25), ("1h", 0.7))),
)


class Mode(Stateful):
    """One mode: score and bias of its last grid tick; None before the first, and where that had no data."""

    STATE = ("_as_of", "_bias", "_score")
    __slots__ = ("_as_of", "_bias", "_grid_ms", "_score", "_weights")

    def __init__(self, grid_ms: int, weights: tuple[tuple[str, float], ...]) -> None:
        self._grid_ms = grid_ms
        self._weights = weights
        self._bias = Direction()
        self._score: float | None = None
        self._as_of: int | None = None

    def update(self, scores: Sequence[tuple[str, float | None]], quorum: bool, ts: int) -> dict[str, Any]:
        """Its part of the message at tick ``ts``: new on the grid, unchanged in between."""
        if ts % self._grid_ms == 0:
            self._as_of = ts
            self._score = over_windows(scores, self._weights)
            if quorum:
                self._bias.update(self._score)
            else:
                self._bias.lose()
        return {"bias": self._bias.side, "score": self._score, "as_of": self._as_of}

    def reanchor(self, shift_ms: int) -> None:
        if self._as_of is not None:
            self._as_of += shift_ms


class Modes(Stateful):
    """All three, by name."""

    STATE = ("_modes",)
    __slots__ = ("_modes",)

    def __init__(self) -> None:
        self._modes = [Mode(grid_ms, weights) for _, grid_ms, weights in MODES]

    def update(self, scores: Sequence[tuple[str, float | None]], quorum: bool, ts: int) -> dict[str, Any]:
        return {name: mode.update(scores, quorum, ts) for (name, _, _), mode in zip(MODES, self._modes, strict=True)}

    def reanchor(self, shift_ms: int) -> None:
        for mode in self._modes:
            mode.reanchor(shift_ms)
