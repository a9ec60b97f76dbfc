"""The service clock: a step of the wall clock changes nothing until the caller re-anchors, then by a known shift."""

from __future__ import annotations

from service.clock import ServiceClock, perf_seconds


class Hands:
    """A wall clock and a monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.0
        self.monotonic = 50.0

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


def test_a_wall_clock_step_changes_no_time_until_the_reanchor() -> None:
    hands = Hands()
    clock = ServiceClock(lambda: hands.wall, lambda: hands.monotonic)
    assert clock.now_ms() == 1_700_000_000_000
    hands.run(2.5)
    assert clock.now_ms() == 1_700_000_002_500
    hands.wall += 3600
    assert clock.now_ms() == 1_700_000_002_500
    assert clock.offset_ms() == 3_600_000
    assert clock.reanchor() == 3_600_000
    assert clock.now_ms() == 1_700_003_602_500
    assert clock.offset_ms() == 0


def test_the_real_clock_moves_forward() -> None:
    clock = ServiceClock()
    first = clock.now_ms()
    assert abs(clock.offset_ms()) <= 5
    assert clock.now_ms() >= first
    assert perf_seconds() <= perf_seconds()
