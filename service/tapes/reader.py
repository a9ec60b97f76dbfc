"""Read a tape: headers and records in order. Damage costs at most the rest of its run, and is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from service.errors import TapeError
from service.tapes.format import Header, Record, parse_line
from service.tapes.members import MAGIC, Member, Torn, spans
from service.tapes.order import Order

MAX_MEMBER = 512 << 20  # a header with its state and a second of frames; beyond this the file is not a tape


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
