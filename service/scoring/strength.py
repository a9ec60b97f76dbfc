"""Strength: where a window's abs(score) stands among its own trailing day of ticks (docs/signal.md section 6)."""

from __future__ import annotations

from service.state import Stateful
from service.statistics import RankWindow

HORIZON_MS = 24 * 3_600_000
LEAST_TICKS = 360
BACKFILL_WEIGHT = 6  # a back-filled minute stands for six ticks


class Strength(Stateful):
    """One window's earlier scores."""

    STATE = ("_ranks",)
    __slots__ = ("_ranks",)

    def __init__(self) -> None:
        self._ranks = RankWindow(HORIZON_MS)

    def update(self, score: float | None, ts: int, minute: bool) -> float | None:
        """Rank in [0, 1] of ``score`` among the ticks before ``ts``, None under 360 of them; then enter it."""
        if score is None:
            return None
        rank, count = self._ranks.rank(score, ts)
        self._ranks.add(ts, score, BACKFILL_WEIGHT if minute else 1)
        return rank if count >= LEAST_TICKS else None

    def reanchor(self, delta_ms: int) -> None:
        self._ranks.reanchor(delta_ms)
