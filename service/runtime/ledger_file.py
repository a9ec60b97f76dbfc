"""The ledger on disk: lines appended to numbered files, one after the other, never changed (docs/scoreboard.md)."""

from __future__ import annotations

import gzip
import logging
import os
import sys
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO

from service.errors import ConfigError
from service.scoreboard import GENESIS, Fall, Outcome, verify

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

SUFFIXES = (".jsonl", ".jsonl.gz")  # an operator may pack the files that are no longer written to
LONGEST_LINE = 4096  # bytes; ours have about 400
BACKLOG_BYTES = 16 << 20  # of lines that wait for a disk to work again: more than half an hour of 21 symbols
MOST_OPEN = 4  # full files that wait for sync()
MOST_TOLD = 250_000  # lines a start reads to bring an older record up to date: a few seconds


def number_of(path: Path) -> int | None:
    """The number in a ledger file's name; None if it is not one."""
    name, _, suffix = path.name.partition(".")
    digits = name.removeprefix("ledger-")
    if name == digits or f".{suffix}" not in SUFFIXES or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits)


def files(folder: Path) -> list[Path]:
    """The folder's ledger files in order; of one that is there both packed and not, the one that is not."""
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("ledger-*"), reverse=True):  # ".jsonl" comes last, and stays
        number = number_of(path)
        if number is not None:
            found[number] = path
    return [found[number] for number in sorted(found)]


def lines_of(path: Path) -> Iterator[bytes]:
    """A file's lines without newlines; what follows the last newline, if anything, is a line, too.

    What is longer than any line of ours comes in pieces: memory is bounded whatever the file holds. Raises OSError.
    """
    for line in _raw_lines(path):
        yield line.removesuffix(b"\n")


def _raw_lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            while line := file.readline(LONGEST_LINE):
                yield line
    except (EOFError, zlib.error) as error:
        raise OSError(f"not gzip, or cut off ({error})") from None


class Reader:
    """The lines of one file; afterwards ``unfinished`` says how many bytes follow its last newline.

    A last line without its newline is not handed on: it is being written, or was when the power went.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unfinished = 0

    def __iter__(self) -> Iterator[bytes]:
        self.unfinished = 0
        for line in _raw_lines(self.path):
            if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                self.unfinished = len(line)
            else:
                yield line.removesuffix(b"\n")


class LedgerFile:
    """Appends to the last file of ``folder``, or to a new one. Raises :exc:`ConfigError` where it cannot.

    ``end``: (seq, hash) of the last line found, which the next one must follow; None in an empty folder. A line
    that was cut off when the power went is removed: it never was one. While a disk fails lines wait, up to
    :data:`BACKLOG_BYTES`; beyond, ``failed``: the chain has a hole, and nothing is written until the next start.
    ``failures``: attempts to write that did not succeed; ``waiting_bytes``: of the lines that wait for the next one.
    ``keep_files``: how many files stay when a new one begins; None: all.
    """

    def __init__(self, folder: Path, rotate_bytes: int, keep_files: int | None = None) -> None:
        self.failed = False
        self.failures = 0
        self.waiting_bytes = 0
        self.end: tuple[int, str] | None = None
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._keep_files = keep_files
        self._file: IO[bytes] | None = None
        self._lock: TextIOWrapper | None = None
        self._backlog: list[bytes] = []
        self._torn = False  # part of a line may have been written
        self._full: list[IO[bytes]] = []  # files that are done with, until they are on disk for certain
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
            raise ConfigError([f"scoreboard.folder: {folder} cannot be written ({error.strerror or error})"]) from None

    def _last(self) -> tuple[Path, int]:
        """The file to go on with and its size; finds ``end``."""
        known = files(self._folder)
        if not known:
            return self._folder / "ledger-000001.jsonl", 0
        for path in reversed(known):
            line, size = _end_of(path)
            if line is None:
                continue
            checked = verify([line])
            if checked.broken is not None:  # nothing can follow it: the next file begins where the state says
                log.error("ledger file=%s ends with a broken line (%s): a new file begins", path, checked.why)
                return self._next(known[-1]), 0
            self.end = (checked.seq, checked.hash)
            if path == known[-1] and path.suffix != ".gz":
                return path, size
            break
        return (self._next(known[-1]) if known[-1].suffix == ".gz" or _size(known[-1]) > 0 else known[-1]), 0

    def _next(self, path: Path) -> Path:
        return self._folder / f"ledger-{(number_of(path) or 0) + 1:06d}.jsonl"

    def told_after(self, seq: int, known: str) -> list[Outcome | Fall] | None:
        """The outcomes after line ``seq``, whose hash is ``known``; none where the ledger does not reach beyond it.

        None where it does not say: that line is not in it, a line after it is broken, or they are too many.
        """
        if self.end is None or self.end[0] < seq or (self.end[0] == seq and self.end[1] != known):
            return None
        if self.end[0] == seq:
            return []
        if self.end[0] - seq > MOST_TOLD:
            return None
        found: list[Outcome | Fall] = []
        try:
            later = []
            for path in reversed(files(self._folder)):
                later.append(path)
                first = next(lines_of(path), None)
                if first is not None and verify([first]).first_seq <= max(seq, 1):
                    break
            lines = (line for path in reversed(later) for line in lines_of(path))
            first_seq = verify(islice(lines_of(later[-1]), 1)).first_seq
            if 0 < seq != first_seq - 1:  # else nothing of it is here, and the first line says what it follows
                before = next(islice(lines, max(seq - first_seq, 0), None), b"")
                checked = verify([before])
                if (checked.broken, checked.seq, checked.hash) != (None, seq, known):
                    return None
            checked = verify(lines, known if seq > 0 else GENESIS, seq, found.append)
        except OSError as error:
            log.error("ledger folder=%s cannot be read reason=%r", self._folder, str(error))
            return None
        return found if checked.broken is None else None

    def write(self, lines: Sequence[bytes]) -> None:
        """Append; what a failing disk does not take waits for the next call."""
        if self.failed or self._file is None or not (lines or self._backlog):
            return
        self._backlog += lines
        self.waiting_bytes += sum(map(len, lines)) + len(lines)
        try:
            self._append()
        except OSError as error:
            self.failures += 1
            if not self._torn:
                log.error("ledger cannot be written file=%s reason=%r: its lines wait", self.path, str(error))
            self._torn = True
            if self.waiting_bytes > BACKLOG_BYTES:
                self.failed = True
                self.waiting_bytes = 0
                self._backlog.clear()
                log.error("ledger stopped file=%s: too many lines wait; it goes on with the next start", self.path)

    def _append(self) -> None:
        assert self._file is not None
        if self._torn:
            self._file.truncate(self._size)
        elif self._size >= self._rotate_bytes:
            path = self._next(self.path)
            following = open(path, "ab", buffering=0)  # noqa: SIM115 - owned until close()
            self._full.append(self._file)
            if len(self._full) > MOST_OPEN:  # nobody calls sync(): no state is kept
                self._full.pop(0).close()
            self._file, self.path, self._size = following, path, 0
            self._forget()
        data = memoryview(b"\n".join(self._backlog) + b"\n")
        size = self._size + len(data)
        while data:
            data = data[self._file.write(data) :]
        if self._torn:
            log.info("ledger is written again file=%s", self.path)
        self._torn, self._size, self.waiting_bytes = False, size, 0
        self._backlog.clear()

    def sync(self) -> None:
        """Have the disk hold what was written, before a state that goes as far is kept: after a power cut the ledger
        must not end before the state does. Slow: call it in a thread, one call at a time. A failing disk is logged.
        """
        try:
            if self._file is not None:
                os.fsync(self._file.fileno())
            for file in list(self._full):
                os.fsync(file.fileno())
                file.close()
                self._full.remove(file)
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            log.error("ledger file=%s may be lost in a power cut reason=%r", self.path, str(error))

    def _forget(self) -> None:
        if self._keep_files is not None:
            for path in files(self._folder)[: -self._keep_files]:
                path.unlink()
                log.info("ledger file=%s deleted: scoreboard.keep_files = %d", path, self._keep_files)

    def close(self) -> None:
        self.write([])  # a last attempt for what waits
        if self._backlog and not self.failed:
            log.error("ledger file=%s: the last %d lines could not be written", self.path, len(self._backlog))
        self.sync()
        for file in (self._file, *self._full, self._lock):
            if file is not None:
                file.close()
        self._file = self._lock = None


def _size(path: Path) -> int:
    return path.stat().st_size


def _end_of(path: Path) -> tuple[bytes | None, int]:
    """The last line and the size, once what follows the last newline is cut off; None in an empty file."""
    if path.suffix == ".gz":
        last = deque(lines_of(path), maxlen=1)
        return (last[0] if last else None), 0
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = _line_end(file, size)
        tail = size - end
        if tail > 0:
            file.seek(end)
            if tail >= LONGEST_LINE and any(file.read(tail)):  # no half line of ours, nor zeros a crash left: stays
                return b"", size
            log.warning("ledger file=%s: its last %d bytes are no whole line and are cut off", path, tail)
            file.truncate(end)
        if end == 0:
            return None, 0
        start = _line_end(file, end - 1)
        file.seek(start)
        return file.read(min(end - 1 - start, LONGEST_LINE)), end


def _line_end(file: IO[bytes], before: int) -> int:
    """Where the last newline below ``before`` ends; 0 if there is none."""
    while before > 0:
        begin = max(0, before - LONGEST_LINE)
        file.seek(begin)
        found = file.read(before - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        before = begin
    return 0
