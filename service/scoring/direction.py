"""What the score says over time: direction with hysteresis, transitions, momentum, strength (docs/signal.md 6, 7)."""

from __future__ import annotations

from typing import Literal, TypeAlias

from service.state import Stateful
from service.statistics import RankWindow

Side: TypeAlias = Literal["long", "short", "neutral"]

ENTER_AT = 0.15
LEAVE_BELOW = 0.10
MOMENTUM_TICKS = 3
HORIZON_MS = 24 * 3_600_000  # of strength
LEAST_TICKS = 360  # within it
BACKFILL_WEIGHT = 6  # a back-filled minute stands for six ticks


def decide(score: float | None, before: Side | None) -> Side:
    """Enter at 0.15, leave below 0.10; in between keep the side if the sign is the same. None is neutral.

    >>> decide(0.12, "long"), decide(0.12, "short"), decide(-0.15, "long")
    ('long', 'neutral', 'short')
    """
    if score is None or abs(score) < LEAVE_BELOW:
        return "neutral"
    side: Side = "long" if score > 0 else "short"
    return side if abs(score) >= ENTER_AT or side == before else "neutral"


class Direction(Stateful):
    """The direction of one score over time; None: no data."""

    STATE = ("side",)
    __slots__ = ("side",)

    def __init__(self) -> None:
        self.side: Side | None = None

    def update(self, score: float | None) -> Side:
        self.side = decide(score, self.side)
        return self.side

    def lose(self) -> None:
        """No data: neither a side nor neutral."""
        self.side = None


def transition(before: Side | None, after: Side | None) -> dict[str, str] | None:
    """A change between two sides that were both known; coming from or going to no data is none."""
    if before is None or after is None or before == after:
        return None
    return {"from": before, "to": after}


class Momentum(Stateful):
    """Whether abs(composite) rose, or fell, strictly at each of the last three ticks; an unknown one restarts."""

    STATE = ("_last", "_run")
    __slots__ = ("_last", "_run")

    def __init__(self) -> None:
        self._last: float | None = None
        self._run = 0  # ticks in a row it rose (+) or fell (-)

    def update(self, score: float | None) -> Literal["accelerating", "decelerating", "steady"]:
        size = None if score is None else abs(score)
        if size is None or self._last is None or size == self._last:
            self._run = 0
        elif size > self._last:
            self._run = min(max(self._run, 0) + 1, MOMENTUM_TICKS)
        else:
            self._run = max(min(self._run, 0) - 1, -MOMENTUM_TICKS)
        self._last = size
        if self._run == MOMENTUM_TICKS:
            return "accelerating"
        return "decelerating" if self._run == -MOMENTUM_TICKS else "steady"


class Strength(Stateful):
    """Where a window's abs(score) stands among its own trailing day of ticks."""

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
