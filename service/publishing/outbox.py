"""One client's way out, bounded: nobody waits for a slow client, and it costs no more than its limit. Sans-I/O.

While little is waiting in the client's buffer, messages are written as they come. Above half of the limit they wait
here, and of each channel only the newest value does; the next one written says how many were ``skipped``. Alerts and
resumed messages are events, not values: each of them waits. Bytes passed over count against the limit like unsent ones,
bytes written count in favour, and an empty buffer settles it: who takes half of the stream stays, who takes much less
is closed as slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from service.publishing.codes import SLOW
from service.publishing.message import Kind, Message

Key: TypeAlias = str | tuple[str, int]


class Outlet(Protocol):
    """A connection, as far as an outbox needs it. No call blocks or raises."""

    def buffered(self) -> int:
        """Bytes written and not yet taken by the operating system."""
        ...

    def write(self, frame: bytes) -> None:
        """Send a whole frame, if the connection is still open."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Begin to close; cut off whoever has not followed within a second."""
        ...


@dataclass(frozen=True, slots=True)
class Update:
    """A published message with its frame, shared by all clients. ``message`` None: the tick message."""

    frame: bytes
    message: Message | None
    event: bool = False

    @property
    def key(self) -> Key:
        if self.message is None:
            return ""
        return (self.message.channel, self.message.seq) if self.event else self.message.channel


@dataclass(slots=True)
class _Waiting:
    frame: bytes | None  # None: rendered when written
    message: Message | None
    kind: Kind
    skipped: int

    def size(self) -> int:
        return len(self.frame) if self.frame is not None else len(self.message.body) if self.message is not None else 0


class Outbox:
    """``render`` makes a frame of (message, kind, skipped); ``sent`` is told how many messages were written."""

    def __init__(
        self,
        outlet: Outlet,
        limit_bytes: int,
        render: Callable[[Message, Kind, int], bytes],
        sent: Callable[[int], None],
    ) -> None:
        self._outlet = outlet
        self._limit = limit_bytes
        self._soft = limit_bytes // 2
        self._render = render
        self._sent = sent
        self._waiting: dict[Key, _Waiting] = {}
        self._overdue = 0
        self.closed = False

    @property
    def waiting(self) -> bool:
        """Something waits for the client's buffer to empty: call :meth:`flush` soon."""
        return bool(self._waiting) and not self.closed

    def close(self, code: int, reason: str) -> None:
        if not self.closed:
            self.closed = True
            self._waiting.clear()
            self._outlet.close(code, reason)

    def reply(self, frame: bytes) -> None:
        """A message to this client alone (acknowledgement, heartbeat, ...): written at once, before what waits."""
        if not self.closed:
            self._outlet.write(frame)
            self._judge()

    def updates(self, batch: Sequence[Update], joined: bytes) -> None:
        """Published messages, in order; ``joined`` is all their frames in one."""
        if self.closed:
            return
        if not self._waiting:
            buffered = self._outlet.buffered()
            if buffered <= self._soft and buffered + len(joined) <= self._limit:
                self._write(joined, len(batch))
                return
        for update in batch:
            if not self._waiting and self._outlet.buffered() <= self._soft:
                self._write(update.frame, 1)
            else:
                self._wait(update)
        self._judge()

    def queue(self, messages: Sequence[Message], kind: Kind) -> None:
        """Snapshots, or the messages of a resume. They wait where the buffer is full, and are never passed over."""
        for message in messages:
            key: Key = message.channel if kind == "snapshot" else (message.channel, message.seq)
            self._waiting[key] = _Waiting(None, message, kind, 0)
        self.flush()

    def forget(self, channels: Sequence[str]) -> None:
        """Drop what waits of these channels: it is unsubscribed, or a snapshot replaces it."""
        if self._waiting:
            gone = frozenset(channels)
            self._waiting = {
                key: item
                for key, item in self._waiting.items()
                if item.message is None or item.message.channel not in gone
            }

    def flush(self) -> None:
        """Write what waits, oldest first, as far as the buffer takes it."""
        while self._waiting and not self.closed and self._outlet.buffered() <= self._soft:
            key = next(iter(self._waiting))
            item = self._waiting.pop(key)
            frame = item.frame
            if item.message is not None and (frame is None or item.skipped != 0 or item.kind == "snapshot"):
                frame = self._render(item.message, item.kind, item.skipped)
            if frame is not None:
                self._write(frame, 1)

    def behind(self) -> dict[str, int | None]:
        """Channels with something waiting: the last sequence number written of each, None if nothing was."""
        last: dict[str, int | None] = {}
        for item in self._waiting.values():
            message = item.message
            if message is not None and message.channel not in last:
                last[message.channel] = None if item.kind == "snapshot" else message.seq - 1 - item.skipped
        return last

    def _write(self, frame: bytes, count: int) -> None:
        self._overdue = 0 if self._outlet.buffered() == 0 else max(0, self._overdue - len(frame))
        self._outlet.write(frame)
        self._sent(count)

    def _wait(self, update: Update) -> None:
        kind: Kind = "update"
        skipped = 0
        old = self._waiting.pop(update.key, None)  # re-inserted at the end: a tick stays behind its signals
        if old is not None:
            self._overdue += old.size()
            kind = old.kind  # a snapshot not yet written: the newer value is the snapshot
            skipped = old.skipped + 1 if kind == "update" else 0
        elif update.event:
            self._overdue += len(update.frame)
        self._waiting[update.key] = _Waiting(update.frame, update.message, kind, skipped)

    def _judge(self) -> None:
        if self._outlet.buffered() + self._overdue > self._limit:
            self.close(SLOW, "slow")
