"""Keeps the state on disk up to date: dumped on the loop between two events, packed and written in a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from service.metrics import Metrics
from service.wiring.saved_state import StateFile

log = logging.getLogger(__name__)


class Saver:
    """``document`` gives the state, or None while there is none worth keeping."""

    def __init__(self, file: StateFile, document: Callable[[], dict[str, Any] | None], metrics: Metrics) -> None:
        self._file = file
        self._document = document
        self._metrics = metrics
        self._failing = False
        self._busy = asyncio.Lock()
        self._writing: asyncio.Future[None] | None = None

    async def run(self, every_s: float) -> None:
        """Save for good, every so often; ends only by cancellation."""
        while True:
            await asyncio.sleep(every_s)
            await self.save()

    async def save(self) -> None:
        """Save once, after a save under way. A failure is one log line until it works again, and a metric."""
        async with self._busy:
            if self._writing is not None and not self._writing.done():  # its waiter was cancelled, the thread goes on
                await asyncio.wait([self._writing])
            try:
                plain = self._document()
                if plain is None:
                    return
                self._writing = asyncio.ensure_future(asyncio.to_thread(self._file.write, plain))
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
