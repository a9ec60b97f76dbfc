"""The ledger on disk: lines appended to numbered files, one after the other, never changed (docs/scoreboard.md)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from service.errors import ConfigError
from service.scoreboard import verify

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

PATTERN = "ledger-*.jsonl"
LONGEST_LINE = 4096  # bytes; ours have about 400


def files(folder: Path) -> list[Path]:
    """The folder's ledger files in order."""
    return sorted(path for path in folder.glob(PATTERN) if path.stem.removeprefix("ledger-").isdigit())


def lines_of(path: Path) -> Iterator[bytes]:
    """A file's lines without newlines; what follows the last newline, if anything, is a line, too."""
    with open(path, "rb") as file:
        for line in file:
            yield line.removesuffix(b"\n")


class LedgerFile:
    """Appends to the last file of ``folder``, or to a new one. Raises :exc:`ConfigError` where it cannot.

    ``end``: (seq, hash) of the last line found, which the next one must follow; None in an empty folder. A line
    that was cut off when the power went is removed: it never was one. A disk that fails later costs only the file.
    """

    def __init__(self, folder: Path, rotate_bytes: int) -> None:
        self.failed = False
        self.end: tuple[int, str] | None = None
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._file: IO[bytes] | None = None
        self._lock: TextIOWrapper | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(folder / "lock", "w")  # noqa: SIM115 - held until close()
            if sys.platform != "win32":
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path, self._size = self._last()
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - owned until close()
        except BlockingIOError:
            self.close()
            raise ConfigError([f"scoreboard.folder: {folder} is in use by another process"]) from None
        except OSError as error:
            self.close()
            raise ConfigError([f"scoreboard.folder: {folder} cannot be written ({error.strerror})"]) from None

    def _last(self) -> tuple[Path, int]:
        """The file to go on with and its size; finds ``end``."""
        known = files(self._folder)
        for path in reversed(known):
            size = _mend(path)
            if size == 0:
                continue
            line = _last_line(path, size)
            checked = verify([line])
            if checked.broken is not None:  # nothing can follow it: the next file begins where the state says
                log.error("ledger file=%s ends with a broken line (%s): a new file begins", path, checked.why)
                return self._numbered(known[-1], 1), 0
            self.end = (checked.seq, checked.hash)
            return (path, size) if path == known[-1] else (known[-1], 0)
        return (known[-1] if known else self._folder / "ledger-000001.jsonl"), 0

    def _numbered(self, path: Path, step: int) -> Path:
        return self._folder / f"ledger-{int(path.stem.removeprefix('ledger-')) + step:06d}.jsonl"

    def write(self, lines: Sequence[bytes]) -> None:
        if self.failed or self._file is None or not lines:
            return
        try:
            if self._size >= self._rotate_bytes:
                self._file.close()
                self.path = self._numbered(self.path, 1)
                self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - owned until close()
                self._size = 0
            data = memoryview(b"\n".join(lines) + b"\n")
            self._size += len(data)
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            self.failed = True
            log.error("ledger stopped file=%s reason=%r: the service goes on without it", self.path, str(error))

    def close(self) -> None:
        for file in (self._file, self._lock):
            if file is not None:
                file.close()
        self._file = self._lock = None


def _mend(path: Path) -> int:
    """Cut off what follows the last newline; returns the size left."""
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LONGEST_LINE))
        tail = file.read()
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if torn > 0:
            log.warning("ledger file=%s: its last %d bytes are no whole line and are cut off", path, torn)
            file.truncate(size - torn)
        return size - torn


def _last_line(path: Path, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, size - LONGEST_LINE))
        return file.read()[:-1].rpartition(b"\n")[2]
