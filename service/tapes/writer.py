"""Write a tape from the event loop without ever blocking it: records are queued, a thread makes their lines, compresses
and appends.

The queue is bounded: when the disk cannot keep up (or fails), recording stops, says so once, and the service goes on.
"""

from __future__ import annotations

import gzip
import logging
import os
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

from service.errors import ConfigError, TapeError
from service.tapes.format import Header, Record, record_line
from service.tapes.members import is_tape, spans

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

MEMBER_SECONDS = 1.0
MAX_QUEUED_BYTES = 64 << 20
LINE_BYTES = 100  # of a record's line, beside its raw text


class TapeWriter:
    """Append-only; one gzip member about every second. ``close()`` writes what is queued and joins the thread.

    A tape that a killed process left torn is cut back to its last complete member first. Raises :exc:`ConfigError`
    when the path cannot be written, :exc:`TapeError` when it holds something else than a tape (which is left alone).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        self._queue: deque[bytes | Record] = deque()  # appended to by the loop, emptied by the thread: needs no lock
        self._put_bytes = 0  # of all records so far; written by the loop alone
        self._taken_bytes = 0  # of those that the thread has taken; written by the thread alone
        self._stop = threading.Event()
        self._failed: str | None = None
        self._held: list[bytes] | None = None  # members waiting for the run's header
        self._header: bytes | None = None
        self._thread = threading.Thread(target=self._run, name="tape", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> str | None:
        """Why recording stopped by itself, or None while it works."""
        return self._failed

    def header(self, header: Header) -> None:
        """Begin a run. Its size is free: a warm state may well be larger than the queue of frames."""
        if self._held is None:
            if self._failed is None:
                self._queue.append(header.line())
        else:
            self._header = header.line()

    def hold(self) -> None:
        """The next header comes later than the records of its run: these are kept, compressed, until it does."""
        self._held = []

    def record(self, record: Record) -> None:
        if self._failed is not None:
            return
        if record.item is None:
            line: bytes | Record = record  # the thread makes its line
            size = len(record.raw) if record.raw.isascii() else 4 * len(record.raw)  # at most
        else:
            line = record_line(record)  # what an item holds may change later
            size = len(line)
        self._queue.append(line)
        self._put_bytes += LINE_BYTES + size
        if self._put_bytes - self._taken_bytes > MAX_QUEUED_BYTES and len(self._queue) > 1:
            self._fail("the disk cannot keep up")

    def close(self) -> None:
        """Never raises: a disk that fails now is told as at any other time, by ``failed`` and one line in the log."""
        self._stop.set()
        self._thread.join()
        try:
            self._file.close()
        except OSError as error:
            self._fail(str(error))

    def _fail(self, why: str) -> None:
        if self._failed is not None:
            return
        self._failed = why
        log.error("recording stopped path=%s reason=%r: the service goes on without a tape", self.path, why)

    def _run(self) -> None:
        broken = False
        while True:
            stopping = self._stop.wait(MEMBER_SECONDS)
            try:
                lines = self._taken()
                if not broken:  # nothing may follow a member that was written in part
                    self._write(lines)
            except Exception as error:  # of the disk; anything else is a defect, and must be told as well
                broken = True
                self._fail(str(error) or type(error).__name__)
            if stopping and not self._queue:
                return

    def _taken(self) -> list[bytes]:
        """The lines of all that waits."""
        put_bytes = self._put_bytes
        items = (self._queue.popleft() for _ in range(len(self._queue)))
        lines = [record_line(item) if isinstance(item, Record) else item for item in items]
        self._taken_bytes = put_bytes  # a record put meanwhile is counted, or taken, a second later
        return lines

    def _write(self, lines: list[bytes]) -> None:
        member = _member(lines) if lines else None
        if self._held is not None:
            if member is not None:
                self._held.append(member)
            if self._header is None:
                return
            self._append(_member([self._header]))
            for waiting in self._held:
                self._append(waiting)
            self._held = self._header = None
        elif member is not None:
            self._append(member)

    def _append(self, member: bytes) -> None:
        left = memoryview(member)
        while left:  # the file is unbuffered: a nearly full disk takes a part, and refuses at the next call
            left = left[self._file.write(left) :]


def _member(lines: Iterable[bytes]) -> bytes:
    return gzip.compress(b"\n".join(lines) + b"\n", compresslevel=5, mtime=int(time.time()))


def _open(path: Path) -> FileIO:
    """The file for appending, unbuffered: a buffer would be flushed again, and fail again, on closing."""
    file: FileIO | None = None
    try:
        file = open(path, "ab", buffering=0)  # noqa: SIM115 - owned by the thread until close()
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            _lock(file)
            _mend(path, file)
    except BlockingIOError:
        reason = "another process is recording to it"
    except OSError as error:
        reason = error.strerror or str(error)
    except TapeError:
        if file is not None:
            file.close()
        raise
    else:
        return file
    if file is not None:
        file.close()
    raise ConfigError([f"{path}: cannot be written: {reason}"])


def _lock(file: FileIO) -> None:
    """Keep others from mending what we write: an unfinished member looks torn. Raises BlockingIOError if taken."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as error:  # some network file systems
            log.info("tape is not locked path=%s reason=%r", file.name, error.strerror)


def _mend(path: Path, file: FileIO) -> None:
    """Cut what follows the last complete member. Raises :exc:`TapeError`, changing nothing, if it is no tape."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        return
    end = 0
    with open(path, "rb") as existing:
        if not is_tape(existing):
            raise TapeError(f"{path}: exists and is not a tape: nothing was written to it")
        for span in spans(existing, 0):
            end = span.end
    if end < size:
        file.truncate(end)
        log.warning(
            "tape was torn (its writer was stopped hard) path=%s: cut %d bytes after its last complete member, "
            "from byte %d on",
            path,
            size - end,
            end,
        )
