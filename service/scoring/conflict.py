"""Whether the windows disagree, with hysteresis (docs/signal.md section 6)."""

from __future__ import annotations

from collections.abc import Sequence

from service.state import Stateful

RAISE_AT = 0.15
KEEP_AT = 0.10


def opposed(scores: Sequence[tuple[str, float | None]], least: float) -> tuple[str, ...]:
    """The windows that stand in a pair of opposite signs with both magnitudes at least ``least``, in their order.

    With one window up and one down, each strong enough, every strong enough window is in such a pair.

    >>> opposed([("1m", 0.2), ("5m", -0.05), ("1h", -0.3)], 0.1)
    ('1m', '1h')
    """
    strong = [(name, score) for name, score in scores if score is not None and abs(score) >= least]
    up = any(score > 0 for _, score in strong)
    down = any(score < 0 for _, score in strong)
    return tuple(name for name, _ in strong) if up and down else ()


class Conflict(Stateful):
    """Raised by an opposite pair at 0.15, kept while one stands at 0.10; ``since``: tick of raising, None if not."""

    STATE = ("since",)
    __slots__ = ("since",)

    def __init__(self) -> None:
        self.since: int | None = None

    def update(self, scores: Sequence[tuple[str, float | None]], ts: int) -> tuple[str, ...]:
        """The windows in conflict at this tick; empty: none."""
        windows = opposed(scores, KEEP_AT)
        if not windows:
            self.since = None
        elif self.since is None:
            if not opposed(scores, RAISE_AT):
                return ()
            self.since = ts
        return windows

    def reanchor(self, shift_ms: int) -> None:
        if self.since is not None:
            self.since += shift_ms
