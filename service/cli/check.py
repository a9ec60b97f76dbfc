"""``elr check``: judge a configuration; with ``--net``, say what can be reached from here, and what that leaves."""

from __future__ import annotations

import argparse
import asyncio

import aiohttp

from service.cli.reach import reach, without_quorum
from service.clock import ServiceClock
from service.config import Config, load, notes, renamed
from service.core.build import denominators_of, endpoints_of, venues_of
from service.coverage import LIST
from service.denominators import SOURCES
from service.errors import BadPayload, VenueError
from service.learning import Learner
from service.runtime.coverage_poll import ask_coverage
from service.runtime.denominator_polls import fetch, sections, session
from service.scoring import COMPONENT_IDS

SOURCE_S = 60.0  # some answers are tens of megabytes


def run(options: argparse.Namespace) -> int:
    config = load(options.file)
    denominators = denominators_of(config, ServiceClock().now_ms())
    Learner(config.service.symbols, COMPONENT_IDS, config.weights)  # frozen weights must be of experts that there are
    print(f"configuration: ok ({options.file if options.file is not None else 'defaults'})")
    for note in (*notes(config), *([] if options.file is None else renamed(options.file, config))):
        print(note)
    print(f"symbols: {len(config.service.symbols)}, venues: {', '.join(config.venues.enabled())}")
    asked = [name for name, section in sections(config).items() if section.enabled]
    print(
        f"denominators: {len(denominators)} symbols"
        if denominators
        else f"denominators: no file; asked for by themselves: {', '.join(asked)}"
        if asked
        else "denominators: none; oi_reserve and oi_mcap stay null"
    )
    if not options.net:
        return 0
    return asyncio.run(_net(config))


async def _sources(config: Config, now_ms: int) -> list[str]:
    """One request to each enabled source of denominators; without them only the ratios are missing."""

    async def ask(name: str) -> str:
        source, section = SOURCES[name], sections(config)[name]
        requests = source.begin(section.rest or source.rest, config.service.symbols, config.denominators.coingecko_ids)
        if not requests:
            return f"denominators from {name}: nothing to ask for these symbols"
        try:
            async with session(aiohttp.ClientTimeout(total=SOURCE_S)) as client:
                await fetch(client, config.network, source, requests[0], now_ms)
        except (VenueError, BadPayload) as error:
            return f"denominators from {name}: not reachable ({error}); its ratios stay null or keep their last base"
        return f"denominators from {name}: reachable"

    return await asyncio.gather(*(ask(name) for name, section in sections(config).items() if section.enabled))


async def _coverage(config: Config, now_ms: int) -> list[str]:
    """One request for the list of other venues' open interest; without it only the known share is missing."""
    if not config.coverage.enabled:
        return []
    try:
        listed = await ask_coverage(config, config.coverage.rest or LIST.rest, now_ms)
    except (VenueError, BadPayload) as error:
        return [f"known share from {LIST.name}: not reachable ({error}); it stays null"]
    return [f"known share from {LIST.name}: reachable, {listed.rows} tickers of {listed.markets} venues"]


async def _net(config: Config) -> int:
    endpoints = endpoints_of(config)
    symbols, extras = config.service.symbols, config.streams.wanted()
    now_ms = ServiceClock().now_ms()
    found = await asyncio.gather(
        *(
            reach(venue, endpoints[name], symbols, config.network, extras, now_ms, config.all_assets())
            for name, venue in venues_of(config).items()
        )
    )
    for item in found:
        print(f"{item.venue}: {item.line(symbols)}")
    count = sum(item.reachable for item in found)  # integers
    print(f"{count} of {len(found)} venues reachable")
    for line in (*await _sources(config, now_ms), *await _coverage(config, now_ms)):
        print(line)
    lost = without_quorum(symbols, found, config.market.min_venues)
    if not lost:
        print("every symbol has its quorum")
        return 0
    for symbol, there, needed in lost:
        print(f"{symbol}: NO quorum: {there} reachable venues list it, {needed} are needed: it will have no data")
    return 1
