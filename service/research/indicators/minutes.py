"""A series as UTC minute values, judged against its own completed minutes: the rule of docs/signal.md section 4."""

from __future__ import annotations

from typing import ClassVar

from service.indicators.minute import MINUTE_MS
from service.indicators.trailing import History
from service.state import Stateful


class Minutes(Stateful):
    """Feeds a :class:`~service.indicators.trailing.History`: of each minute the last value, once it is over."""

    STATE: ClassVar[tuple[str, ...]] = ("_minute", "history", "now")
    __slots__ = STATE

    def __init__(self, history: History) -> None:
        self.history = history
        self._minute: int | None = None  # the running one
        self.now: float | None = None  # its last value so far

    def update(self, t_ms: int, x: float | None) -> None:
        """Enter a value at a time not before the newest; None: only time passes."""
        minute = t_ms // MINUTE_MS
        if minute != self._minute:
            if self._minute is not None and self.now is not None:
                self.history.add(self._minute, self.now)
            self.history.advance(minute)
            self._minute, self.now = minute, None
        if x is not None:
            self.now = x
