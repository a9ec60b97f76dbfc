"""When the wall clock has stepped for good, the service clock is re-anchored; a passing disturbance is not."""

from __future__ import annotations

from service.clock import ServiceClock

STEP_TOLERANCE_MS = 250  # a wall clock this far from ours has stepped (slewing moves both)
STEP_SECONDS = 3  # ... when it stays so this long


class ClockWatch:
    """Called once a second; answers the shift in ms when the clock was re-anchored just now, else None."""

    def __init__(self, clock: ServiceClock) -> None:
        self._clock = clock
        self._stepped_s = 0

    def second(self) -> int | None:
        stepped = abs(self._clock.offset_ms()) > STEP_TOLERANCE_MS
        self._stepped_s = self._stepped_s + 1 if stepped else 0
        if self._stepped_s < STEP_SECONDS:
            return None
        self._stepped_s = 0
        return self._clock.reanchor()
