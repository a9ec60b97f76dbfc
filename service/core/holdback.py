"""What was received and may not be applied yet, in order: the engine is cold, catching up, or being dumped."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from service.model import Confirm, Denominator, Event, Funding, Mark, OpenInterest, Past

MAX_HELD = 1_000_000  # items; about 150 bytes each. Beyond it a warm start goes on with the history it has

Item: TypeAlias = Event | Denominator | Past
Key: TypeAlias = tuple[str, str, str]  # (venue, instrument, stream), the stream "index" included


class Holdback:
    """Items in the order of their receipt (UTC epoch ms). ``first``: the first receipt of each stream that spoke."""

    def __init__(self) -> None:
        self._items: deque[tuple[int, Item]] = deque()
        self.first: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._items)

    @property
    def half_full(self) -> bool:
        """Time to stop fetching history: filling in what is there takes its time, too."""
        return len(self._items) >= MAX_HELD // 2

    @property
    def full(self) -> bool:
        return len(self._items) >= MAX_HELD

    def put(self, recv_ts: int, item: Item) -> None:
        """Behind all that was received before it or with it; nearly always that is the end."""
        items = self._items
        at = len(items)
        while at > 0 and items[at - 1][0] > recv_ts:
            at -= 1
        items.insert(at, (recv_ts, item))
        for stream in _streams(item):
            self.first.setdefault((item.venue, item.instrument, stream), recv_ts)  # type: ignore[union-attr]

    def pop(self, until_ms: int | None = None) -> tuple[int, Item] | None:
        """The oldest (receipt, item), received at or before ``until_ms`` if given; None when there is none."""
        if not self._items or (until_ms is not None and self._items[0][0] > until_ms):
            return None
        return self._items.popleft()

    def oldest_ms(self) -> int | None:
        return self._items[0][0] if self._items else None


def _streams(item: Item) -> tuple[str, ...]:
    """The streams of which an item is news."""
    if isinstance(item, Mark):
        return tuple(name for name, value in (("mark", item.mark), ("index", item.index)) if value is not None)
    if isinstance(item, OpenInterest):
        return ("oi",)
    if isinstance(item, Funding):
        return ("funding",)
    return item.streams if isinstance(item, Confirm) else ()
