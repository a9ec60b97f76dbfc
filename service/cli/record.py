"""``elr record``: raw frames of live venues to a tape; nothing is scored or served."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random

from service import __version__
from service.cli.running import run_until_stopped
from service.clock import ServiceClock
from service.config import load, shareable
from service.core.build import denominators_of, endpoints_of, venues_of
from service.core.intake import Intake
from service.denominators.operator_file import to_plain
from service.metrics import Metrics
from service.model import Event
from service.runtime.clock_watch import ClockWatch
from service.runtime.venue_runner import keep, runners
from service.tapes import Header, Record, TapeWriter
from service.venues.transport.health import VenueHealth

log = logging.getLogger(__name__)

PROGRESS_S = 10.0


def run(options: argparse.Namespace) -> int:
    config = load(options.config)
    logging.getLogger().setLevel(config.service.log_level.upper())
    denominators = denominators_of(config, ServiceClock().now_ms())
    clock = ServiceClock()
    writer = TapeWriter(options.out)
    rng = random.Random()
    venues = venues_of(config)
    endpoints = endpoints_of(config)
    metrics = Metrics(tuple(venues), "live", __version__)
    frames = 0

    def record(item: Record) -> None:
        nonlocal frames
        frames += item.kind == "f"
        writer.record(item)

    def unused(event: Event) -> None:
        """Only the raw frames are kept; decoding serves the links' deadlines and the instrument lists."""

    async def main(stop: asyncio.Event) -> None:
        intake = Intake(venues, clock, unused, lambda: 0, metrics, record, assets=config.all_assets())
        writer.header(
            Header(
                clock.now_ms(),
                "live",
                __version__,
                False,
                shareable(config),
                to_plain(denominators),
                None,
            )
        )
        async with asyncio.TaskGroup() as group:
            health = {name: VenueHealth(name) for name in venues}
            started = runners(config, venues, endpoints, intake, clock, rng, health)
            tasks = [group.create_task(keep(name, runner), name=f"venue:{name}") for name, runner in started.items()]
            tasks.append(group.create_task(_watch(clock, writer), name="clock"))
            while not stop.is_set():
                try:
                    await asyncio.wait_for(stop.wait(), PROGRESS_S)
                except TimeoutError:
                    log.info("recorded frames=%d to %s", frames, options.out)
                if writer.failed is not None:
                    stop.set()
            for task in tasks:
                task.cancel()

    try:
        run_until_stopped(main)
    finally:
        writer.record(Record("e", clock.now_ms()))
        writer.close()
    if writer.failed is not None:
        log.error("the tape is incomplete: %s", writer.failed)
        return 1
    log.info("recorded frames=%d to %s", frames, options.out)
    return 0


async def _watch(clock: ServiceClock, writer: TapeWriter) -> None:
    """A stepped wall clock goes on the tape, as in a live run."""
    watch = ClockWatch(clock)
    while True:
        await asyncio.sleep(1.0)
        shift = watch.second()
        if shift is not None:
            log.warning("wall clock stepped by %+d ms: re-anchored", shift)
            now = clock.now_ms()
            writer.record(Record("r", now, shift_ms=shift, sampled_ms=now - shift))
