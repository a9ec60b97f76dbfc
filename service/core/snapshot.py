"""The engine's state dumped in slices: one moment, though it takes many turns of the event loop.

While a snapshot is under way the engine stands still: what arrives is held back and applied when the dump is done, so
that the dump is of the moment at which it began, byte for byte, and the engine afterwards is the one that had never
been dumped. Samples of these moments are taken late, with what they would have seen; no tick is made to wait: when one
is due, the rest of the dump is made at once. The saver begins behind a tick, so that none is.

Symbols are not independent enough to be dumped one by one: a sample changes all of them, and so may one frame. A fork
is unsafe beside threads. What each way costs: docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import islice
from typing import TypeAlias

MEMBERS_A_SLICE = 6  # pieces of text: at most so many symbols' market states, indicators, scorers or records
ITEMS_A_SLICE = 500  # of those that were held back

Slices: TypeAlias = Generator[list[bytes], None, None]  # of a JSON text


class Snapshot:
    """A dump under way."""

    def __init__(self, texts: Iterator[bytes]) -> None:
        self.done = False
        self._texts = texts
        self._rest: list[bytes] = []
        self._error: Exception | None = None

    def slice(self) -> list[bytes]:
        """The next few pieces; empty when there are no more."""
        found = list(islice(self._texts, MEMBERS_A_SLICE))
        self.done = not found
        return found

    def finish(self) -> None:
        """Dump all that is left. A value that cannot be dumped costs the save, not whoever had to finish it."""
        try:
            self._rest = list(self._texts)
        except Exception as error:
            self._error = error
        self.done = True

    def rest(self) -> list[bytes]:
        """What :meth:`finish` found; raises what it met."""
        if self._error is not None:
            raise self._error
        return self._rest
