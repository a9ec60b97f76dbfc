"""The one service clock: a wall-clock anchor plus the monotonic clock. The only module that reads time.

Ages come from differences of :meth:`ServiceClock.now_ms`, which follows the monotonic clock, so a step of the
wall clock changes no age. When the wall clock has stepped for good, :meth:`ServiceClock.reanchor` moves the
anchor and returns by how much; the caller shifts every stored time by that amount (an event on the tape).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """What the I/O files need of a clock; tests and the simulation pass their own."""

    def now_ms(self) -> int:
        """UTC epoch milliseconds by the service clock."""
        ...


# Monotonic seconds, on Linux of a clock that goes on while the machine sleeps: a laptop's nap must age the data.
_ELAPSED: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class ServiceClock:
    """UTC epoch ms that never steps by itself. ``wall`` and ``monotonic`` are replaceable for tests."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = _ELAPSED,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._anchor_s = wall() - monotonic()

    def now_ms(self) -> int:
        return int((self._anchor_s + self._monotonic()) * 1000)

    def offset_ms(self) -> int:
        """Wall clock minus service clock: what a re-anchor would add now."""
        return int(self._wall() * 1000) - self.now_ms()

    def reanchor(self) -> int:
        """Move the anchor to the wall clock; returns the shift in ms (+ means the wall clock is ahead)."""
        before = self.now_ms()
        self._anchor_s = self._wall() - self._monotonic()
        return self.now_ms() - before


def perf_seconds() -> float:
    """Monotonic seconds for measuring how long our own work takes (histograms), never for ages."""
    return time.perf_counter()
