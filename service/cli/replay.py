"""``elr replay``: a tape through the same code."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
from pathlib import Path
from typing import IO

from service.cli.running import run_until_stopped
from service.core.engine import TICK_MS
from service.core.replay import Run, replay
from service.errors import ConfigError
from service.model import Tick
from service.publishing import Feed
from service.runtime.outputs import write_signals
from service.runtime.read_models import ReadModels
from service.runtime.scoreboard_output import ScoreboardOutput
from service.runtime.service import STATUS_EVERY_MS, new_epoch
from service.tapes import read

log = logging.getLogger(__name__)

PROGRESS_EVERY_TICKS = 360
TURN_S = 0.01  # the event loop gets a turn after this much replaying


def run(options: argparse.Namespace) -> int:
    speed = _speed(options.speed)
    if options.port is not None and not 0 <= options.port <= 65535:
        raise ConfigError([f"--port {options.port}: between 0 and 65535"])
    if not options.tape.exists():
        raise ConfigError([f"{options.tape}: no such tape"])
    target = options.signals if options.signals is not None else (None if options.port is not None else "-")
    out = _open(target)
    ledger = None
    try:
        ledger = _open(options.ledger, "--ledger")
        if options.port is None and speed is None:
            _straight(options.tape, out, ledger)
        else:
            run_until_stopped(lambda stop: _paced(options.tape, out, ledger, speed, options.port, stop))
        for file in (out, ledger):
            if file is not None:
                file.flush()
    finally:
        for file in (out, ledger):
            if file is not None and file is not sys.stdout.buffer:
                file.close()
    return 0


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ConfigError([f"--speed {text!r}: a positive number, or max"])
    return value


def _open(target: str | None, option: str = "--signals") -> IO[bytes] | None:
    if target is None:
        return None
    if target == "-":
        return sys.stdout.buffer
    try:
        return open(target, "wb")
    except OSError as error:
        raise ConfigError([f"{option} {target}: cannot be written: {error.strerror}"]) from None


def _told(text: str) -> None:
    log.warning("%s", text)


def _write_ledger(file: IO[bytes] | None, run: Run) -> None:
    if file is not None and run.ledger:
        file.write(b"\n".join(run.ledger) + b"\n")


def _straight(tape: Path, out: IO[bytes] | None, ledger: IO[bytes] | None) -> None:
    ticks = frames = 0
    for run, record, published in replay(read(tape, _told), tape):
        frames += record.kind == "f"
        _write_ledger(ledger, run)
        for tick in published:
            ticks += 1
            if out is not None:
                write_signals(out, tick.signals)
            if ticks % PROGRESS_EVERY_TICKS == 0:
                log.info("replayed ticks=%d frames=%d", ticks, frames)
    log.info("replayed ticks=%d frames=%d: end of tape", ticks, frames)


async def _paced(
    tape: Path,
    out: IO[bytes] | None,
    ledger: IO[bytes] | None,
    speed: float | None,
    port: int | None,
    stop: asyncio.Event,
) -> None:
    """The tape at ``speed``, with or without a feed; the event loop gets its turn whatever the speed."""
    loop = asyncio.get_running_loop()
    served: _Served | None = None
    started_s = turn_s = loop.time()
    first_ms = 0
    current: Run | None = None
    try:
        for run, record, published in replay(read(tape, _told), tape):
            if run is not current:
                current, first_ms, started_s = run, record.ts, loop.time()
                if port is not None:
                    if served is not None:
                        await served.feed.drain()
                    served = await _Served.start(run, port)
            if speed is not None:
                due_s = started_s + (record.ts - first_ms) / 1000 / speed
                while (wait := due_s - loop.time()) > 0 and not stop.is_set():  # noqa: ASYNC110 - paced by a clock
                    await asyncio.sleep(min(wait, 0.2))
            if loop.time() - turn_s > TURN_S:
                await asyncio.sleep(0)
                turn_s = loop.time()
            if stop.is_set():
                return
            _write_ledger(ledger, run)
            for tick in published:
                if out is not None:
                    write_signals(out, tick.signals)
            if served is not None:
                served.show(published)
        log.info("end of tape")
        if served is not None and current is not None:
            log.info("the feed stays up, not ready, while its last values expire; stop it with Ctrl-C")
            served.feed.set_ready(False)
            while not stop.is_set():
                await asyncio.sleep(1.0)
                current.clock.now += 1000
    finally:
        if served is not None:
            await served.feed.drain()


class _Served:
    """A replayed run as a feed: what the live run published, with the same samples and announcements in between."""

    def __init__(self, run: Run, feed: Feed, views: ReadModels) -> None:
        self.feed = feed
        self._run = run
        self._views = views
        self._scores = ScoreboardOutput(run.engine)
        self._published_ms = 0
        self._status_ms = 0

    @classmethod
    async def start(cls, run: Run, port: int) -> _Served:
        config = run.config.model_copy(update={"feed": run.config.feed.model_copy(update={"port": port})})
        views = ReadModels(config, "replay", run.engine, run.intake, {}, run.clock)
        epoch = new_epoch(run.header.created_ms, random.Random())
        feed = Feed(
            config.feed,
            "replay",
            config.service.symbols,
            epoch,
            "elr/replay",
            run.clock,
            run.metrics,
            views,
            config.aliases(),
        )
        bound = await feed.start()
        log.info("replay on ws://%s:%d/v1/stream", config.feed.host, bound)
        return cls(run, feed, views)

    def show(self, published: list[Tick]) -> None:
        for tick in published:
            missed = 0 if self._published_ms == 0 else max(0, (tick.ts - self._published_ms) // TICK_MS - 1)
            self._published_ms = tick.ts
            self.feed.publish_tick(tick, missed)
            self.feed.set_ready(True)
        self._scores.show(published, self.feed)
        self.feed.publish_market(self._run.engine.samples)
        if self._run.clock.now - self._status_ms >= STATUS_EVERY_MS:
            self._status_ms = self._run.clock.now
            self.feed.publish_status(self._views.status())
