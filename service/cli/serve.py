"""``elr serve``: live venues."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random

from service.cli.running import run_until_stopped
from service.clock import ServiceClock
from service.config import load
from service.wiring.engine import Engine
from service.wiring.outputs import open_outputs
from service.wiring.service import Service, new_epoch
from service.wiring.setup import denominators_of, endpoints_of, rules_of, venues_of

log = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> int:
    config = load(options.config)
    logging.getLogger().setLevel(config.service.log_level.upper())
    denominators = denominators_of(config, ServiceClock().now_ms())
    if not denominators:
        log.warning(
            "no denominators file: oi_reserve and oi_mcap stay null; set denominators.file, see docs/denominators.md"
        )
    outputs = open_outputs(options.record, options.signals)
    rng = random.Random()
    clock = ServiceClock()
    engine = Engine(config.service.symbols, rules_of(config), config.market, denominators)

    async def main(stop: asyncio.Event) -> None:
        service = Service(
            config=config,
            source="live",
            venues=venues_of(config),
            endpoints=endpoints_of(config),
            denominators=denominators,
            engine=engine,
            clock=clock,
            rng=rng,
            epoch=new_epoch(clock.now_ms(), rng),
            outputs=outputs,
        )
        await service.run(stop)

    run_until_stopped(main)
    return 0
