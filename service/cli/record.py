"""``elr record``: raw frames of live venues to a tape; nothing is scored or served."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random

from service import __version__
from service.cli.running import run_until_stopped
from service.clock import ServiceClock
from service.config import load
from service.metrics import Metrics
from service.model import Event
from service.tapes import Header, Record, TapeWriter
from service.venues.health import VenueHealth
from service.wiring.denominators import to_plain
from service.wiring.intake import Intake
from service.wiring.setup import denominators_of, endpoints_of, venues_of
from service.wiring.venue_runner import runners

log = logging.getLogger(__name__)

PROGRESS_S = 10.0


def run(options: argparse.Namespace) -> int:
    config = load(options.config)
    denominators = denominators_of(config)
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
        intake = Intake(venues, clock, unused, lambda: 0, metrics, record)
        writer.header(
            Header(
                clock.now_ms(),
                "live",
                __version__,
                False,
                config.model_dump(mode="json"),
                to_plain(denominators),
                None,
            )
        )
        async with asyncio.TaskGroup() as group:
            health = {name: VenueHealth(name) for name in venues}
            started = runners(config, venues, endpoints, intake, clock, rng, health)
            tasks = [group.create_task(runner.run(), name=f"venue:{name}") for name, runner in started.items()]
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
