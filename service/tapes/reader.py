"""Read a tape: headers and records in order. Damage costs at most the rest of its run, and is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from service.errors import TapeError
from service.tapes.format import Header, Record, parse_line
from service.tapes.members import MAGIC, Member, Torn, spans

MAX_MEMBER = 512 << 20  # a header with its state and a second of frames; beyond this the file is not a tape
MAX_GAP_MS = 31 * 86_400_000  # a machine may have slept; longer is damage
TICK_SLACK_MS = 60_000  # a tick's grid time against the receive times around it
END_SLACK_MS = 1_000  # "e" has the clock's time; frames are stamped after the last sample, which may be ahead of it


def read(path: str | Path, on_torn: Callable[[str], None]) -> Iterator[Header | Record]:
    """Headers and records of the tape at ``path``.

    ``on_torn`` is told in words, with place and byte count, what was lost: the last member when it is incomplete (the
    writer was killed), or everything from a damaged member to the next run. Raises :exc:`TapeError` for a file that is
    no tape, for damage that members but no new run follow, and for times that cannot have been recorded so.
    """
    line_number = 0
    order: Order | None = None
    for line in _lines(path, on_torn):
        line_number += 1
        try:
            item = parse_line(line)
            if isinstance(item, Header):
                order = Order(item.created_ms)
            elif order is not None:
                order.check(item)
        except TapeError as error:
            raise TapeError(f"{path}: line {line_number}: {error}") from None
        if order is None:
            raise TapeError(f"{path}: does not begin with a header")
        yield item
    if line_number == 0:
        raise TapeError(f"{path}: empty")


def _lines(path: str | Path, on_torn: Callable[[str], None]) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            start: int | None = 0
            data = file.read(len(MAGIC))
            begins_well = data == MAGIC
            while start is not None:
                data = data or file.read(1)
                if not data:
                    return
                member = Member(file, data)
                pieces: list[bytes] = []
                length = 0
                try:
                    for piece in member.pieces():
                        pieces.append(piece)
                        length += len(piece)
                        if length > MAX_MEMBER:
                            raise TapeError(f"{path}: a member of over {MAX_MEMBER} bytes at byte {start}")
                except Torn as torn:
                    if not begins_well:
                        raise TapeError(f"{path}: damaged at byte 0: {torn}") from None
                    start = _next_run(path, file, start, str(torn), on_torn)
                    data = b""
                    continue
                *whole, rest = b"".join(pieces).split(b"\n")
                if rest:
                    raise TapeError(f"{path}: a member ends inside a line at byte {start}")
                yield from whole
                data = member.rest
                start = file.tell() - len(data)
    except OSError as error:
        raise TapeError(f"{path}: cannot be read: {error.strerror}") from None


def _next_run(path: str | Path, file: IO[bytes], start: int, why: str, on_torn: Callable[[str], None]) -> int | None:
    """Where to go on after the damaged member at ``start``, with the file there; None: it was the last one."""
    followed = False
    for span in spans(file, start + 1):
        if span.begins_run:
            on_torn(
                f"{path}: damaged at byte {start} ({why}): {span.start - start} bytes are lost; "
                f"going on with the run at byte {span.start}"
            )
            file.seek(span.start)
            return span.start
        followed = True
    if followed or start == 0:
        raise TapeError(f"{path}: damaged at byte {start}: {why}")
    lost = file.seek(0, 2) - start
    on_torn(f"{path}: the last member, at byte {start}, is torn ({why}): {lost} bytes are lost; kept all before it")
    return None


class Order:
    """Checks the times of one run, record by record: times that cannot have been recorded so are damage, and must not
    drive an engine. ``created_ms``: the header's."""

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
