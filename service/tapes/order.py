"""The times of one run: a tape whose times cannot have been recorded so is damaged, and must not drive an engine."""

from __future__ import annotations

from service.errors import TapeError
from service.tapes.format import Record

MAX_GAP_MS = 31 * 86_400_000  # a machine may have slept; longer is damage
TICK_SLACK_MS = 60_000  # a tick's grid time against the receive times around it
END_SLACK_MS = 1_000  # "e" has the clock's time; frames are stamped after the last sample, which may be ahead of it


class Order:
    """Checks the records of one run, in their order. ``created_ms``: the header's."""

    def __init__(self, created_ms: int) -> None:
        self._received_ms = created_ms  # newest receive time
        self._newest_ms = created_ms  # newest time of any record
        self._floor_ms = created_ms  # the next receive time is not below this
        self._stepped_from_ms: int | None = None  # the clock before a shift, until something is received after it

    def check(self, record: Record) -> None:
        """Raises :exc:`TapeError` when the record's time cannot follow those before it."""
        ts = record.ts
        if record.kind == "p":
            self._tick(ts)
        elif record.kind == "r":
            self._shift(record)
        else:
            self._within(ts, self._floor_ms - (END_SLACK_MS if record.kind == "e" else 0))
            self._received_ms = ts
            self._newest_ms = max(self._newest_ms, ts)
            self._floor_ms = max(self._floor_ms, ts)
            self._stepped_from_ms = None

    def _tick(self, ts: int) -> None:
        # A tick taken just before a shift is published just after it, under its time by the clock of then.
        if self._stepped_from_ms is not None and abs(ts - self._stepped_from_ms) <= TICK_SLACK_MS:
            return
        self._within(ts, self._received_ms - TICK_SLACK_MS)
        self._newest_ms = max(self._newest_ms, ts)
        self._floor_ms = max(self._floor_ms, ts - TICK_SLACK_MS)

    def _shift(self, record: Record) -> None:
        before_ms = record.ts - record.shift_ms
        self._within(before_ms, self._received_ms - TICK_SLACK_MS)
        if record.sampled_ms > before_ms + TICK_SLACK_MS:
            raise TapeError(f"last sample {record.sampled_ms} lies after the clock of then, {before_ms}")
        self._stepped_from_ms = before_ms
        self._received_ms = self._newest_ms = self._floor_ms = record.ts

    def _within(self, ts: int, floor_ms: int) -> None:
        if ts < floor_ms:
            raise TapeError(f"time {ts} goes back behind {floor_ms}")
        if ts - self._newest_ms > MAX_GAP_MS:
            raise TapeError(f"time {ts} is more than 31 days after {self._newest_ms}")
