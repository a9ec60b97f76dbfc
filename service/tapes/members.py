"""The gzip members of a tape file: where complete ones lie, also beyond damage. Memory stays bounded.

Not the gzip module: it cannot tell a torn last member from damage in the middle.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

CHUNK = 1 << 16
PIECE = 1 << 20  # the most that is inflated at a time, whatever the compression ratio
MAGIC = b"\x1f\x8b\x08"
RUN = b'["h",'  # how a member that begins a run begins
OPENING = b'["h",{"format":"elr-tape"'  # how the first one of a tape begins, as the writer writes it


class Torn(Exception):
    """The member is damaged, or the file ends inside it. Always caught inside this package."""


class Member:
    """One member, inflated from where ``file`` stands; ``data`` was read from the file already."""

    def __init__(self, file: IO[bytes], data: bytes = b"") -> None:
        self._file = file
        self.rest = data  # once the member is through: what was read beyond it

    def pieces(self) -> Iterator[bytes]:
        """Its contents, at most PIECE bytes at a time; good only once all of it came without :exc:`Torn`."""
        inflate = zlib.decompressobj(wbits=31)
        data = self.rest
        while not inflate.eof:
            data = data or self._file.read(CHUNK)
            if not data:
                raise Torn("the file ends inside a member")
            try:
                piece = inflate.decompress(data, PIECE)
            except zlib.error as error:
                raise Torn(str(error)) from None
            data = inflate.unconsumed_tail
            if piece:
                yield piece
        self.rest = inflate.unused_data


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes ``start`` to ``end`` of the file are one complete member, checksum and all."""

    start: int
    end: int
    begins_run: bool


def spans(file: IO[bytes], start: int) -> Iterator[Span]:
    """Every complete member from byte ``start`` to the end of the file; what lies between them is passed over."""
    position = start
    while position >= 0:
        span = _span(file, position)
        if span is None:
            position = _find(file, position + 1)
        else:
            yield span
            position = span.end


def is_tape(file: IO[bytes]) -> bool:
    """Whether the file begins as the writer begins one; its first member need not be complete."""
    file.seek(0)
    try:
        return zlib.decompressobj(wbits=31).decompress(file.read(CHUNK), len(OPENING)) == OPENING
    except zlib.error:
        return False


def _span(file: IO[bytes], start: int) -> Span | None:
    file.seek(start)
    member = Member(file)
    head = b""
    try:
        for piece in member.pieces():
            if len(head) < len(RUN):
                head += piece[: len(RUN)]
    except Torn:
        return None
    return Span(start, file.tell() - len(member.rest), head.startswith(RUN))


def _find(file: IO[bytes], start: int) -> int:
    """Where the next member may begin, or -1."""
    file.seek(start)
    at, window = start, b""
    while data := file.read(CHUNK):
        window += data
        found = window.find(MAGIC)
        if found >= 0:
            return at + found
        kept = window[1 - len(MAGIC) :]
        at += len(window) - len(kept)
        window = kept
    return -1
