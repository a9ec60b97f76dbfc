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
from service.errors import ConfigError
from service.model import Tick
from service.publishing import Feed
from service.tapes import Record
from service.wiring.replay import Run, replay
from service.wiring.service import new_epoch, write_signals
from service.wiring.views import LiveViews

log = logging.getLogger(__name__)

PROGRESS_EVERY_TICKS = 360


def run(options: argparse.Namespace) -> int:
    speed = _speed(options.speed)
    if not options.tape.exists():
        raise ConfigError([f"{options.tape}: no such tape"])
    target = options.signals if options.signals is not None else (None if options.port is not None else "-")
    out = _open(target)
    try:
        if options.port is None and speed is None:
            _straight(options.tape, out)
        else:
            run_until_stopped(lambda stop: _paced(options.tape, out, speed, options.port, stop))
    finally:
        if out is not None and out is not sys.stdout.buffer:
            out.close()
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


def _open(target: str | None) -> IO[bytes] | None:
    if target is None:
        return None
    if target == "-":
        return sys.stdout.buffer
    try:
        return open(target, "wb")
    except OSError as error:
        raise ConfigError([f"--signals {target}: cannot be written: {error.strerror}"]) from None


def _told(text: str) -> None:
    log.warning("%s", text)


def _straight(tape: Path, out: IO[bytes] | None) -> None:
    ticks = frames = 0
    for _, record, published in replay(tape, _told):
        frames += record.kind == "f"
        for tick in published:
            ticks += 1
            if out is not None:
                write_signals(out, tick.signals)
            if ticks % PROGRESS_EVERY_TICKS == 0:
                log.info("replayed ticks=%d frames=%d", ticks, frames)
    log.info("replayed ticks=%d frames=%d: end of tape", ticks, frames)


async def _paced(tape: Path, out: IO[bytes] | None, speed: float | None, port: int | None, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    feed: Feed | None = None
    started_s = loop.time()
    first_ms: int | None = None
    current: Run | None = None
    try:
        for run, record, published in replay(tape, _told):
            if stop.is_set():
                return
            if run is not current:
                current, first_ms, started_s = run, record.ts, loop.time()
                if port is not None:
                    if feed is not None:
                        await feed.drain()
                    feed = await _feed(run, port)
            if speed is not None and first_ms is not None:
                due_s = started_s + (record.ts - first_ms) / 1000 / speed
                while (wait := due_s - loop.time()) > 0 and not stop.is_set():  # noqa: ASYNC110 - paced by a clock
                    await asyncio.sleep(min(wait, 0.2))
            elif record.kind == "p":
                await asyncio.sleep(0)
            _emit(published, out, feed, run, record)
        log.info("end of tape")
        if feed is not None:
            log.info("the feed stays up with the last state; stop it with Ctrl-C")
            await stop.wait()
    finally:
        if feed is not None:
            await feed.drain()


async def _feed(run: Run, port: int) -> Feed:
    config = run.config.model_copy(update={"feed": run.config.feed.model_copy(update={"port": port})})
    views = LiveViews(config, "replay", run.engine, run.intake, {}, run.clock)
    rng = random.Random()
    feed = Feed(
        config.feed,
        "replay",
        config.service.symbols,
        new_epoch(run.header.created_ms, rng),
        "elr/replay",
        run.clock,
        run.metrics,
        views,
    )
    bound = await feed.start()
    log.info("replay on ws://%s:%d/v1/stream", config.feed.host, bound)
    return feed


def _emit(published: list[Tick], out: IO[bytes] | None, feed: Feed | None, run: Run, record: Record) -> None:
    for tick in published:
        if out is not None:
            write_signals(out, tick.signals)
        if feed is not None:
            feed.publish_tick(tick, 0)
            feed.publish_market(run.engine.samples)
            feed.set_ready(True)
