"""Which silent streams deserve another connection, and when. Remembered across the sockets of one link.

A stream that stays silent while others of its connection speak (a delisted instrument, a venue's half-dead topic)
is given one new connection at once. If it is silent there too it is given up: later tries follow at the backoff
cap, and after :data:`PATIENT_TRIES` of them ever more rarely, where its like (same stream, other instruments) are
well.
"""

from __future__ import annotations

from typing import TypeAlias

from service.model import Stream

Key: TypeAlias = tuple[str, Stream]  # (instrument, stream)

GIVEN_UP = 2  # failures in a row after which a stream is given up: on its first connection, and on the one after
PATIENT_TRIES = 6  # failures after which the pause starts to double
MAX_PAUSE_MS = 3_600_000


class SilencePolicy:
    """Failures in a row per stream. Times are monotonic ms; ``cap_ms`` is the backoff cap."""

    def __init__(self, cap_ms: int) -> None:
        self._cap_ms = cap_ms
        self._failures: dict[Key, int] = {}
        self._due_ms: dict[Key, int] = {}
        self._renewed_ms: int | None = None

    def failed(self, key: Key, opened_ms: int, now_ms: int, like_are_well: bool) -> None:
        """``key`` was silent on a connection opened at ``opened_ms`` on which others spoke.

        ``like_are_well``: the same stream of another instrument is alive there. Where it is not, the trouble is
        the venue's and will end, so the pause does not grow.
        """
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        if failures < GIVEN_UP:
            self._due_ms[key] = now_ms
            return
        doublings = min(max(failures - PATIENT_TRIES, 0), 10) if like_are_well else 0
        # From the opening, so that tries come at the cadence of the cap although each takes its time to fail.
        self._due_ms[key] = max(opened_ms + min(self._cap_ms << doublings, MAX_PAUSE_MS), now_ms)

    def recovered(self, key: Key) -> None:
        """``key`` has spoken for a healthy while."""
        self._failures.pop(key, None)
        self._due_ms.pop(key, None)

    def failures(self, key: Key) -> int:
        return self._failures.get(key, 0)

    def given_up(self, key: Key) -> bool:
        return self.failures(key) >= GIVEN_UP

    def due_ms(self, key: Key) -> int:
        """When a new connection may be opened for the sake of ``key``: never two within the cap, for any streams."""
        due = self._due_ms[key]
        return due if self._renewed_ms is None else max(due, self._renewed_ms + self._cap_ms)

    def renewed(self, now_ms: int) -> None:
        """A new connection is being opened for silent streams."""
        self._renewed_ms = now_ms
