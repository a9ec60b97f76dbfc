"""``elr demo``: simulated venues, warm from the first tick, everything labelled simulated."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import socket
import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from service.cli.running import collect_seldom, run_until_stopped
from service.clock import ServiceClock
from service.config import Config, load
from service.core.build import rules_of, venues_of
from service.core.engine import Engine
from service.errors import ConfigError, PublishError
from service.runtime.outputs import open_outputs
from service.runtime.service import Inputs, Service
from service.simulation import MarketModel, SimulatedList, SimulatedVenues, denominators
from service.simulation.drive import drive_past, start_of_past

log = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> int:
    config = _config(options)
    logging.getLogger().setLevel(config.service.log_level.upper())
    outputs = open_outputs(options.record, options.signals)
    _probe(config)
    collect_seldom()
    rng = random.Random(options.seed)
    clock = ServiceClock()
    begin = start_of_past(clock.now_ms())
    enabled = config.venues.enabled()
    figures = denominators(options.seed, config.service.symbols, begin, enabled)
    engine = Engine(
        config.service.symbols,
        rules_of(config),
        config.market,
        figures,
        config.weights,
        config.deleveraging.model(),
        config.alerts,
    )
    model = MarketModel(options.seed, config.service.symbols, begin, enabled)
    _drive(engine, model, begin, clock)

    async def main(stop: asyncio.Event) -> None:
        venues = venues_of(config)
        simulated = SimulatedVenues(model, clock, rng)
        endpoints = await simulated.start()
        listing = SimulatedList(model, clock, rng)
        try:
            service = Service(
                config=config,
                inputs=Inputs(
                    source="simulated",
                    venues=venues,
                    endpoints={name: endpoints[name] for name in venues},
                    denominators=figures,
                    coverage=await listing.start() if config.coverage.enabled else None,
                ),
                engine=engine,
                clock=clock,
                rng=rng,
                outputs=outputs,
            )
            await service.run(stop)
        finally:
            await listing.stop()
            await simulated.stop()

    run_until_stopped(main)
    return 0


def _config(options: argparse.Namespace) -> Config:
    config = load(options.config)
    if options.port is None:
        return config
    if not 0 <= options.port <= 65535:
        raise ConfigError([f"--port {options.port}: between 0 and 65535"])
    return config.model_copy(update={"feed": config.feed.model_copy(update={"port": options.port})})


def _probe(config: Config) -> None:
    """A taken port is worth saying before the warming up."""
    host, port = config.feed.host, config.feed.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PublishError(
                f"cannot listen on {host}:{port}: {error.strerror}; stop what runs there, or choose another with --port"
            ) from None


def _drive(engine: Engine, model: MarketModel, begin: int, clock: ServiceClock) -> None:
    if not sys.stderr.isatty():
        log.info("driving 26 simulated hours through the core, so that every window is warm")
        drive_past(engine, model, begin, clock, lambda share: None)
        log.info("warm")
        return
    columns = (
        TextColumn("warming up: 26 simulated hours"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        drive_past(engine, model, begin, clock, lambda share: bar.update(task, completed=share))
