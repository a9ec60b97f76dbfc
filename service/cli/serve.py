"""``elr serve``: live venues."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
from pathlib import Path

from service.cli.running import run_until_stopped
from service.clock import ServiceClock
from service.config import Config, load, notes, renamed
from service.core.build import denominators_of, endpoints_of, rules_of, venues_of
from service.core.engine import Engine
from service.coverage import LIST
from service.denominators import SOURCES
from service.model import Denominator
from service.runtime.denominator_polls import sections
from service.runtime.outputs import open_outputs
from service.runtime.service import Inputs, Service
from service.runtime.state_file import StateFile, default_folder, restored
from service.runtime.warm_up import SHORT_GAP_MS
from service.venues.changes import day_of, warnings

log = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> int:
    config = load(options.config)
    logging.getLogger().setLevel(config.service.log_level.upper())
    for note in notes(config):
        log.warning("%s", note)
    for line in [] if options.config is None else renamed(options.config, config):
        log.info("%s", line)
    now_ms = ServiceClock().now_ms()
    for warning in warnings(config.venues.enabled(), day_of(now_ms)):
        log.warning("%s", warning)
    denominators = denominators_of(config, now_ms)
    sources = [name for name, section in sections(config).items() if section.enabled]
    if not denominators and not sources:
        log.warning("no denominators: oi_reserve and oi_mcap stay null; see docs/denominators.md")
    elif not denominators:
        log.info("no denominators file: asking %s; see docs/denominators.md", ", ".join(sources))
    state = _state_file(config)
    try:
        return _serve(options, config, denominators, state)
    finally:
        if state is not None:
            state.close()


def _state_file(config: Config) -> StateFile | None:
    if not config.state.keep:
        return None
    folder = config.state.folder
    return StateFile(default_folder() if folder is None else Path(folder))


def _serve(
    options: argparse.Namespace, config: Config, denominators: list[Denominator], state: StateFile | None
) -> int:
    outputs = open_outputs(options.record, options.signals, config.scoreboard)
    rng = random.Random()
    clock = ServiceClock()
    engine = _engine(config, denominators, state, clock)

    async def main(stop: asyncio.Event) -> None:
        service = Service(
            config=config,
            inputs=Inputs(
                source="live",
                venues=venues_of(config),
                endpoints=endpoints_of(config),
                denominators=denominators,
                warm=config.start.history,
                sources=True,
                coverage=(config.coverage.rest or LIST.rest) if config.coverage.enabled else None,
            ),
            engine=engine,
            clock=clock,
            rng=rng,
            outputs=outputs,
            state=state,
        )
        await service.run(stop)

    run_until_stopped(main)
    return 0


def _engine(config: Config, denominators: list[Denominator], state: StateFile | None, clock: ServiceClock) -> Engine:
    """The engine to begin with, and a line that says in plain words what it begins with."""

    def make() -> Engine:
        return Engine(
            config.service.symbols,
            rules_of(config),
            config.market,
            denominators,
            config.weights,
            config.deleveraging.model(),
            config.alerts,
        )

    then = "then the venues' history" if config.start.history else "no history (start.history = false)"
    if state is None:
        log.info("start: no saved state (state.keep = false), %s", then)
        return make()
    engine, found = restored(state, config, make, clock.now_ms())
    if engine.sampled_ms == 0:
        log.info("start: %s, %s", found or f"no saved state in {state.path.parent}", then)
        return engine
    new = config.start.history and engine.begun_anew
    if clock.now_ms() - engine.sampled_ms <= SHORT_GAP_MS and not new:
        gap = "it goes on at once"
    else:
        gap = "the gap is filled in from the venues' history" if config.start.history else "the gap stays empty"
    log.info("start: %s; %s", found, gap)
    asked = [SOURCES[name].title for name, section in sections(config).items() if section.enabled]
    engine.keep_denominators(asked)
    for item in denominators:  # the operator's file as it is now, not as it was
        engine.denominate(item)
    return engine
