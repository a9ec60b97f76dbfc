"""Windows of time in slots: what is left of a series of updates once it has to stay small.

Slot k holds the times [k * step_ms, (k + 1) * step_ms). A window of n slots is the running slot and the n - 1 before
it; it is *covered* when nine tenths of its slots were observed (the rule of docs/signal.md section 4). A gap is slots
without an observation; nothing is filled in.

* :class:`Levels`: rows of numbers, of each slot the last one; also the row where a window begins
* :class:`Flows`: two amounts, summed in each slot

Indicators that are a function of one of these, ready while it is covered:

* :class:`OverWindow`: of the levels in a window
* :class:`Change`: of the rows where it begins and now
* :class:`OverFlows`: of both sums
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from service.indicators.pressure import Buckets
from service.research.indicators.contract import About, Indicator, V, whole
from service.state import Stateful

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
Row: TypeAlias = tuple[float, ...]
TENTHS = 9  # of a window's slots that must be observed


def slots_of(window_ms: int, step_ms: int) -> int:
    """Slots of a window; raises ValueError unless it is a whole number of steps."""
    if step_ms < 1 or window_ms < step_ms or window_ms % step_ms != 0:
        raise ValueError(f"window {window_ms} ms is not a whole number of steps of {step_ms} ms")
    return window_ms // step_ms


class Levels(Stateful):
    """Rows of ``width`` numbers over a window, and a tenth of it more: where it begins."""

    STATE: ClassVar[tuple[str, ...]] = ("_columns", "_now", "_slots")
    __slots__ = ("_columns", "_now", "_size", "_slots", "_step_ms")

    def __init__(self, window_ms: int, step_ms: int, width: int = 1) -> None:
        self._size = slots_of(window_ms, step_ms)
        self._step_ms = step_ms
        self._now: int | None = None  # the running slot
        self._slots = array("q")  # observed ones, rising
        self._columns = [array("d") for _ in range(width)]

    def update(self, t_ms: int, row: Row | None) -> None:
        """Enter a row at a time not before the newest; None: only time passes."""
        now = self._now = t_ms // self._step_ms
        old = bisect_left(self._slots, now - self._size - self._size // 10)
        if old > 0:
            self._cut(old)
        if row is None:
            return
        if len(self._slots) > 0 and self._slots[-1] == now:
            for column, number in zip(self._columns, row, strict=True):
                column[-1] = number
            return
        self._slots.append(now)
        for column, number in zip(self._columns, row, strict=True):
            column.append(number)

    def clear(self) -> None:
        self._cut(len(self._slots))

    def _cut(self, rows: int) -> None:
        del self._slots[:rows]
        for column in self._columns:
            del column[:rows]

    @property
    def covered(self) -> bool:
        return self._now is not None and (len(self._slots) - self._first()) * 10 >= self._size * TENTHS

    @property
    def now(self) -> Row | None:
        """The row of the running slot; None if it has none yet."""
        if len(self._slots) == 0 or self._slots[-1] != self._now:
            return None
        return tuple(column[-1] for column in self._columns)

    @property
    def start(self) -> Row | None:
        """The row where the window begins: of the slot n before the running one, or else of the latest at most a tenth
        of the window before that."""
        at = self._first() - 1
        return None if at < 0 else tuple(column[at] for column in self._columns)

    @property
    def begun(self) -> bool:
        """Whether the window is covered and has a start."""
        return self.covered and self.start is not None

    @property
    def ends(self) -> tuple[Row, Row] | None:
        """The rows now and at the start of a covered window; None unless there are both."""
        now, start = self.now, self.start
        return (now, start) if self.covered and now is not None and start is not None else None

    def window(self, column: int = 0) -> array[float]:
        """One column over the window, oldest first."""
        return self._columns[column][self._first() :]

    def _first(self) -> int:
        """Position of the first row inside the window."""
        return 0 if self._now is None else bisect_right(self._slots, self._now - self._size)


class Flows(Stateful):
    """Two amounts over a window. Memory: 24 bytes a slot."""

    STATE: ClassVar[tuple[str, ...]] = ("_buckets", "_now")
    __slots__ = ("_buckets", "_now", "_size", "_step_ms")

    def __init__(self, window_ms: int, step_ms: int) -> None:
        self._size = slots_of(window_ms, step_ms)
        self._step_ms = step_ms
        self._now: int | None = None
        self._buckets = Buckets(self._size)  # labelled by slot

    def update(self, t_ms: int, left: float | None, right: float | None) -> None:
        """Add both amounts at a time not before the newest; without one of them only time passes."""
        self._now = t_ms // self._step_ms
        if left is not None and right is not None:
            self._buckets.add(self._now, left, right)

    @property
    def covered(self) -> bool:
        return self._now is not None and self._buckets.count(self._now - self._size) * 10 >= self._size * TENTHS

    def sums(self) -> tuple[float, float]:
        """Both amounts over the window."""
        return (0.0, 0.0) if self._now is None else self._buckets.after(self._now - self._size)


class OverWindow(Indicator[V]):
    """A function of a window's levels. ``row``: what of an update is entered, ``width`` numbers; None: nothing."""

    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_levels")
    __slots__ = ("_levels", "_of", "_row")

    def __init__(
        self,
        about: About,
        of: Callable[[Levels], V | None],
        window_ms: int,
        step_ms: int,
        width: int = 1,
        row: Callable[[tuple[float | None, ...]], Row | None] = whole,
    ) -> None:
        super().__init__(about)
        self._levels = Levels(window_ms, step_ms, width)
        self._of = of
        self._row = row

    @property
    def value(self) -> V | None:
        return self._of(self._levels) if self.ready else None

    @property
    def ready(self) -> bool:
        return self._levels.covered

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._levels.update(t_ms, self._row(x))


class Change(Indicator[V]):
    """A function of the rows now and where a window begins; ready only once there is such a row."""

    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_levels")
    __slots__ = ("_between", "_levels")

    def __init__(self, about: About, between: Callable[[Row, Row], V | None], window_ms: int, step_ms: int) -> None:
        super().__init__(about)
        self._levels = Levels(window_ms, step_ms, len(self.inputs))
        self._between = between

    @property
    def value(self) -> V | None:
        ends = self._levels.ends
        return None if ends is None else self._between(*ends)

    @property
    def ready(self) -> bool:
        return self._levels.begun

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._levels.update(t_ms, whole(x))


class OverFlows(Indicator[V]):
    """A function of both inputs' sums over a window."""

    STATE: ClassVar[tuple[str, ...]] = (*Indicator.STATE, "_flows")
    __slots__ = ("_flows", "_of")

    def __init__(self, about: About, of: Callable[[float, float], V | None], window_ms: int, step_ms: int) -> None:
        super().__init__(about)
        self._flows = Flows(window_ms, step_ms)
        self._of = of

    @property
    def value(self) -> V | None:
        return self._of(*self._flows.sums()) if self.ready else None

    @property
    def ready(self) -> bool:
        return self._flows.covered

    def _take(self, t_ms: int, x: tuple[float | None, ...]) -> None:
        self._flows.update(t_ms, *x)
