"""What serve, demo and record share: the event loop, signals, and a log that a person can read."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

# The state is hundreds of thousands of objects without cycles, and every second replaces a market sample's worth of
# them. At the usual 700 the collector walks through all of it every few seconds: 80 ms at 500 symbols, 13 % of the CPU.
COLLECT_AFTER = 50_000  # objects more than at the last look; what cycles there are, of exceptions mostly, wait for it


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists; Windows and PyPy run the standard loop, only slower."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def collect_seldom() -> None:
    """Let the garbage collector look once in a while only. What works long before the event loop begins asks first."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run ``main(stop)``; SIGTERM or SIGINT sets ``stop``, a second one ends the process at once."""

    async def guarded() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stopping() -> None:
            if stop.is_set():
                log.warning("second signal: leaving at once")
                os._exit(1)
            log.info("stopping: draining clients (again to leave at once)")
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping)
        await main(stop)

    collect_seldom()
    factory = _fast_loop()
    log.info("event loop=%s", "asyncio" if factory is None else "uvloop")
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            runner.run(guarded())
        except BaseExceptionGroup as group:
            raise _first(group) from group


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The first leaf of an exception group: what stopped the task group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
