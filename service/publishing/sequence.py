"""Who has seen what: an epoch, a sequence per channel, and a short history to resume from."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from service.errors import OurBug
from service.publishing.message import Message


class _Log:
    """One channel: its last sequence number, its latest message and the newest ones."""

    __slots__ = ("history", "latest", "seq")

    def __init__(self, kept: int) -> None:
        self.seq = 0
        self.latest: Message | None = None
        self.history: deque[Message] = deque(maxlen=kept)


class Sequencer:
    """Sequences of all channels in one ``epoch``. Sequence numbers begin at 1, +1 each, never a gap."""

    def __init__(self, channels: Sequence[str], epoch: str, source: str, history: int) -> None:
        self.epoch = epoch
        self.source = source
        self._kept = history
        self._logs = {name: _Log(history) for name in channels}

    def publish(self, channel: str, type_: str, body: bytes) -> Message:
        """The next message of a channel. An unconfigured channel is a defect of ours."""
        log = self._logs.get(channel)
        if log is None:
            raise OurBug(f"nobody can subscribe to {channel}")
        log.seq += 1
        log.latest = Message(type_, channel, log.seq, self.epoch, self.source, body)
        log.history.append(log.latest)
        return log.latest

    def seq(self, channel: str) -> int:
        """The last sequence number; 0 before the first message."""
        return self._logs[channel].seq

    def latest(self, channel: str) -> Message | None:
        return self._logs[channel].latest

    def missed(self, channel: str, epoch: object, seq: object) -> tuple[Message, ...] | None:
        """What came after ``seq`` of ``epoch``, oldest first; None where that cannot be told.

        Any value is taken: another epoch, a number that is negative, in the future or further back than the history,
        and anything that is no whole number cannot be resumed from.
        """
        log = self._logs[channel]
        if epoch != self.epoch or type(seq) is not int or not 0 <= seq <= log.seq:
            return None
        count = log.seq - seq
        if count > len(log.history):
            return None
        return tuple(log.history)[len(log.history) - count :]

    def restart(self, epoch: str) -> None:
        """Continuity is lost: forget everything and count anew."""
        self.epoch = epoch
        self._logs = {name: _Log(self._kept) for name in self._logs}
