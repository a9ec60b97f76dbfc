"""What arrives while the past is still being filled in: kept in order until the engine has come that far."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from service.model import Confirm, Denominator, Event, Funding, Mark, OpenInterest

MAX_HELD = 1_000_000  # events; about 150 bytes each. Beyond it the start goes on with the past it has

Key: TypeAlias = tuple[str, str, str]  # (venue, instrument, stream), the stream "index" included


class Holding:
    """Events and denominators in the order of their receipt, and which streams have spoken themselves since when."""

    def __init__(self) -> None:
        self._items: deque[tuple[int, Event | Denominator]] = deque()
        self.first: dict[Key, int] = {}  # receipt of the first live observation

    def __len__(self) -> int:
        return len(self._items)

    @property
    def half_full(self) -> bool:
        """Time to stop fetching: filling in what is there takes its time, too."""
        return len(self._items) >= MAX_HELD // 2

    @property
    def full(self) -> bool:
        return len(self._items) >= MAX_HELD

    def event(self, event: Event) -> None:
        self._items.append((event.recv_ts, event))
        if isinstance(event, Mark):
            if event.mark is not None:
                self.first.setdefault((event.venue, event.instrument, "mark"), event.recv_ts)
            if event.index is not None:
                self.first.setdefault((event.venue, event.instrument, "index"), event.recv_ts)
        elif isinstance(event, OpenInterest):
            self.first.setdefault((event.venue, event.instrument, "oi"), event.recv_ts)
        elif isinstance(event, Funding):
            self.first.setdefault((event.venue, event.instrument, "funding"), event.recv_ts)
        elif isinstance(event, Confirm):
            for stream in event.streams:
                self.first.setdefault((event.venue, event.instrument, stream), event.recv_ts)

    def denominator(self, item: Denominator, recv_ts: int) -> None:
        self._items.append((recv_ts, item))

    def pop(self, until_ms: int | None = None) -> tuple[int, Event | Denominator] | None:
        """The oldest (receipt, item), received at or before ``until_ms`` if given; None when there is none."""
        if not self._items or (until_ms is not None and self._items[0][0] > until_ms):
            return None
        return self._items.popleft()
