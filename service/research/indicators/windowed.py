"""Indicators over a window of levels: what they share."""

from __future__ import annotations

from typing import ClassVar

from service.research.indicators.contract import Indicator, V, whole
from service.research.indicators.slots import Levels

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000


class OverWindow(Indicator[V]):
    """Over the complete rows of a window; ready while it is covered."""

    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_levels")
    __slots__ = ("_levels",)

    def __init__(self, window_ms: int, step_ms: int, width: int | None = None) -> None:
        super().__init__()
        self._levels = Levels(window_ms, step_ms, len(self.inputs) if width is None else width)

    @property
    def ready(self) -> bool:
        return self._levels.covered

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._levels.update(t_ms, whole(x))


class Change(OverWindow[V]):
    """From the row where the window begins to that of the running slot; ready while there is one and it is covered."""

    __slots__ = ()

    def between(self, now: tuple[float, ...], start: tuple[float, ...]) -> V | None:
        """The value, given both ends."""
        raise NotImplementedError

    @property
    def value(self) -> V | None:
        now, start = self._levels.now, self._levels.start
        return self.between(now, start) if self.ready and now is not None and start is not None else None

    @property
    def ready(self) -> bool:
        return self._levels.covered and self._levels.start is not None
