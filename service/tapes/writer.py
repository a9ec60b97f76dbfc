"""Write a tape from the event loop without ever blocking it: lines are queued, a thread compresses and appends.

The queue is bounded: when the disk cannot keep up (or fails), recording stops, says so once, and the service goes on.
"""

from __future__ import annotations

import gzip
import logging
import threading
import time
from collections import deque
from pathlib import Path

from service.errors import TapeError
from service.tapes.format import Header, Record, record_line

log = logging.getLogger(__name__)

MEMBER_SECONDS = 1.0
MAX_QUEUED_BYTES = 64 << 20


class TapeWriter:
    """Append-only; one gzip member about every second. ``close()`` writes what is queued and joins the thread."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = open(self.path, "ab")  # noqa: SIM115 - owned by the thread until close()
        except OSError as error:
            raise TapeError(f"{self.path}: cannot be written: {error}") from None
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failed: str | None = None
        self._thread = threading.Thread(target=self._run, name="tape", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> str | None:
        """Why recording stopped by itself, or None while it works."""
        return self._failed

    def header(self, header: Header) -> None:
        self._put(header.line())

    def record(self, record: Record) -> None:
        self._put(record_line(record))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._file.close()

    def _put(self, line: bytes) -> None:
        if self._failed is not None:
            return
        with self._lock:
            self._queue.append(line)
            self._queued_bytes += len(line)
            over = self._queued_bytes > MAX_QUEUED_BYTES and len(self._queue) > 1
        if over:
            self._fail("the disk cannot keep up")

    def _fail(self, why: str) -> None:
        self._failed = why
        log.error("recording stopped path=%s reason=%r: the service goes on without a tape", self.path, why)

    def _run(self) -> None:
        while True:
            stopping = self._stop.wait(MEMBER_SECONDS)
            with self._lock:
                lines, self._queue = self._queue, deque()
                self._queued_bytes = 0
            if lines:
                try:
                    self._file.write(gzip.compress(b"\n".join(lines) + b"\n", compresslevel=5, mtime=int(time.time())))
                    self._file.flush()
                except OSError as error:
                    if self._failed is None:
                        self._fail(str(error))
            if stopping and not self._queue:
                return
