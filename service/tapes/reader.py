"""Read a tape: headers and records in order. A torn last member costs only itself, and is said."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from service.errors import TapeError
from service.tapes.format import Header, Record, parse_line

CHUNK = 1 << 18
MAX_LINE = 256 << 20  # a header with its state is tens of MiB at most; beyond this the file is not a tape


def read(path: str | Path, on_torn: Callable[[str], None]) -> Iterator[Header | Record]:
    """Headers and records of the tape at ``path``.

    ``on_torn`` is told once, in words, when the last member is incomplete (the writer was killed). Raises
    :exc:`TapeError` for a file that is no tape or is damaged before its last member.
    """
    line_number = 0
    for line in _lines(path, on_torn):
        line_number += 1
        try:
            item = parse_line(line)
        except TapeError as error:
            raise TapeError(f"{path}: line {line_number}: {error}") from None
        if line_number == 1 and not isinstance(item, Header):
            raise TapeError(f"{path}: does not begin with a header")
        yield item
    if line_number == 0:
        raise TapeError(f"{path}: empty")


def _lines(path: str | Path, on_torn: Callable[[str], None]) -> Iterator[bytes]:
    # Not the gzip module: it cannot tell a torn last member from damage in the middle.
    member_starts_at = 0
    consumed = 0
    pending = b""
    try:
        with open(path, "rb") as file:
            inflate = zlib.decompressobj(wbits=31)
            data = b""
            touched = False
            while True:
                if not data:
                    data = file.read(CHUNK)
                    if not data:
                        break
                touched = True
                try:
                    out = inflate.decompress(data)
                except zlib.error as error:
                    rest = file.read(1)
                    if rest or consumed == 0:
                        raise TapeError(f"{path}: damaged at byte {member_starts_at}: {error}") from None
                    on_torn(f"{path}: the last member, at byte {member_starts_at}, is damaged; kept all before it")
                    return
                pending += out
                if len(pending) > MAX_LINE:
                    raise TapeError(f"{path}: a line of over {MAX_LINE} bytes")
                if inflate.eof:
                    *whole, pending = pending.split(b"\n")
                    if pending:
                        raise TapeError(f"{path}: a member ends inside a line at byte {member_starts_at}")
                    yield from whole
                    data = inflate.unused_data
                    consumed += 1
                    member_starts_at = file.tell() - len(data)
                    inflate = zlib.decompressobj(wbits=31)
                    touched = False
                else:
                    data = b""
            if touched:
                on_torn(
                    f"{path}: ends inside a member (the writer was stopped hard); kept all before byte "
                    f"{member_starts_at}"
                )
    except OSError as error:
        raise TapeError(f"{path}: cannot be read: {error}") from None
