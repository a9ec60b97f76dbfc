"""A client's end without a socket: a buffer that empties only when the test says so."""

from __future__ import annotations

from typing import Any

import orjson


class FakeOutlet:
    """Keeps what was written; ``blocked`` keeps it in the buffer until :meth:`take`."""

    def __init__(self, blocked: bool = False) -> None:
        self.blocked = blocked
        self.waiting = 0
        self.frames: list[bytes] = []
        self.closed: tuple[int, str] | None = None

    def buffered(self) -> int:
        return self.waiting

    def write(self, frame: bytes) -> None:
        assert self.closed is None, "written after closing"
        self.frames.append(frame)
        if self.blocked:
            self.waiting += len(frame)

    def close(self, code: int, reason: str) -> None:
        assert self.closed is None, "closed twice"
        self.closed = (code, reason)

    def take(self, count: int | None = None) -> None:
        """The peer reads ``count`` bytes, or all."""
        self.waiting = 0 if count is None else max(0, self.waiting - count)

    def messages(self) -> list[dict[str, Any]]:
        """Everything written since the last call. Frames are lines here, see :func:`line`."""
        frames, self.frames = self.frames, []
        return [orjson.loads(text) for text in b"".join(frames).splitlines()]


def line(text: bytes) -> bytes:
    """Stands in for a WebSocket frame: joined frames can be told apart."""
    assert b"\n" not in text
    return text + b"\n"
