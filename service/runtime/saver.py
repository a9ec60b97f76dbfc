"""Keeps the state on disk up to date: dumped on the loop slice by slice, packed and written in a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing

from service.core.engine import TICK_MS
from service.core.snapshot import Slices
from service.metrics import Metrics
from service.runtime.state_file import StateFile

log = logging.getLogger(__name__)

AFTER_TICK_MS = 1_100  # behind a tick and the sample after it: nearly a second to the next one, nine to the next tick


class Saver:
    """``document`` gives the state in slices, or None while there is none worth keeping; ``now_ms``: the time that
    ticks go by; ``before``: what must be on disk before the state is, called in the writing thread. A save begins
    shortly after a tick, so that no tick is due while it is under way."""

    def __init__(
        self,
        file: StateFile,
        document: Callable[[], Slices | None],
        metrics: Metrics,
        now_ms: Callable[[], int],
        before: Callable[[], None] | None = None,
    ) -> None:
        self._before = before
        self._file = file
        self._document = document
        self._now_ms = now_ms
        self._metrics = metrics
        self._failing = False
        self._busy = asyncio.Lock()
        self._writing: asyncio.Future[None] | None = None

    async def run(self, every_s: float) -> None:
        """Save for good, every so often to the nearest tick, though at most once a tick; ends only by cancellation."""
        while True:
            await asyncio.sleep(every_s - TICK_MS / 2000)
            await asyncio.sleep(((AFTER_TICK_MS - 1 - self._now_ms()) % TICK_MS + 1) / 1000)  # of 0 the next one
            await self.save()

    async def save(self) -> None:
        """Save once, after a save under way. A failure is one log line until it works again, and a metric."""
        async with self._busy:
            if self._writing is not None and not self._writing.done():  # its waiter was cancelled, the thread goes on
                await asyncio.wait([self._writing])
            try:
                slices = self._document()
                if slices is None:
                    return
                text = await _in_turns(slices)
                self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, text))
                await asyncio.shield(self._writing)
            except Exception as error:  # a full disk, or a defect of ours: it costs the file, never the service
                self._metrics.state_saved(False)
                if not self._failing:
                    self._failing = True
                    log.error(
                        "state cannot be saved path=%s reason=%r: the service goes on", self._file.path, str(error)
                    )
            else:
                self._metrics.state_saved(True)
                if self._failing:
                    self._failing = False
                    log.info("state is saved again path=%s", self._file.path)

    def _write(self, text: list[bytes]) -> None:
        if self._before is not None:
            self._before()
        self._file.write(text)


async def _in_turns(slices: Slices) -> list[bytes]:
    """All of ``slices``; the event loop has its turn after each."""
    text: list[bytes] = []
    with closing(slices):
        for pieces in slices:
            text += pieces
            await asyncio.sleep(0)
    return text
